"""Fetching a finished video: resumed where it was cut, checked before it gets its name.

The bytes go to `NAME.OWNER.incomplete` beside the final name, so that a half file is never taken for a video. Every
hop of a redirect is checked by `hosts`, and no header of ours that could hold a secret goes along.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import shutil
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx

from ..core.addresses import Resolve, check_url, prefer_https, resolve
from ..core.backoff import Backoff, jitter, retry_after_seconds
from ..core.errors import DownloadError
from ..core.mp4_boxes import mp4_problem
from .retry import FREE_BACKOFF

OnProgress = Callable[[int, "int | None"], None]
"""Called with bytes so far and bytes in all, None where unknown."""

SUFFIX = ".incomplete"
HOPS = 5
ATTEMPTS = 6
"""Attempts in a row that bring no byte before the link is given up."""
SPARE_BYTES = 64 * 1_000_000
"""Left free on the disk beside the video: the ledger and others need room too."""

_TIMEOUT = httpx.Timeout(connect=15.0, read=30.0, write=15.0, pool=60.0)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


class LinkRefusedError(DownloadError):
    """The link is expired or refused: a fresh one from the task result may work."""


class NotAVideoError(DownloadError):
    """All of it came, and it is no whole mp4: some hosts answer an expired link with a page. A fresh one may work."""


class UnreachableError(DownloadError):
    """Several attempts in a row brought nothing. The link may lead to a host that is gone."""


class _Interrupted(Exception):  # noqa: N818 - not an error yet
    """This attempt ended early; another may go on from where it stopped."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


@dataclass
class _Transfer:
    """What is known of the file so far, from one attempt to the next."""

    file: IO[bytes]
    got: int = 0
    total: int | None = None
    validator: str | None = field(default=None, repr=False)

    def start_over(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.got, self.total, self.validator = 0, None, None


async def download(
    http: httpx.AsyncClient,
    url: str,
    dest: Path,
    *,
    allow_loopback: bool,
    max_bytes: int,
    owner: str = "0",
    on_progress: OnProgress | None = None,
    backoff: Backoff = FREE_BACKOFF,
    resolve: Resolve = resolve,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> int:
    """Fetch an mp4 to `dest`, flushed to the disk, and return its size in bytes. Nothing is at `dest` unless whole.

    Args:
        http: shared client without default Authorization.
        url: where it is, fetched by https; by http on this machine where allow_loopback.
        dest: final name. An existing file is replaced.
        allow_loopback: whether base_url is on loopback itself.
        max_bytes: give up beyond this size.
        owner: part of the temporary name; tells whose it is after a crash.
        on_progress: called after each chunk.
        backoff: pauses between attempts.
        resolve, sleep: for tests.

    Raises:
        LinkRefusedError: the link is expired or refused.
        NotAVideoError: what came is no mp4, or not all of one.
        UnreachableError: nothing comes.
        DownloadError: the link is unsafe, the file too big, or the disk full.
    """
    await asyncio.to_thread(dest.parent.mkdir, parents=True, exist_ok=True)
    part = dest.with_name(f"{dest.name}.{owner}{SUFFIX}")
    try:
        with part.open("w+b") as file:
            transfer = _Transfer(file)
            fetch = _Fetch(http, url, transfer, allow_loopback, max_bytes, on_progress, dest.parent, resolve)
            await _persist(fetch, backoff, sleep)
            await asyncio.to_thread(_flush, file)
        if problem := await asyncio.to_thread(mp4_problem, part):
            raise NotAVideoError(f"What the service sent is not a whole mp4: {problem}.")
        await asyncio.to_thread(_give_name, part, dest)
        return transfer.got
    except OSError as error:
        raise _disk_error(error, dest.parent) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


async def _persist(fetch: _Fetch, backoff: Backoff, sleep: Callable[[float], Awaitable[object]]) -> None:
    """Attempt after attempt, until the file is complete or several in a row brought nothing."""
    fruitless = 0
    while True:
        before = fetch.transfer.got
        try:
            await fetch.once()
            return
        except _Interrupted as interrupted:
            fruitless = 0 if fetch.transfer.got > before else fruitless + 1
            if fruitless >= ATTEMPTS:
                raise UnreachableError(
                    f"The video could not be fetched: {interrupted}. It stays with the service for a while; "
                    "queue again to go on."
                ) from interrupted
            await sleep(backoff.pause(fruitless + 1, jitter(), interrupted.retry_after))


@dataclass
class _Fetch:
    http: httpx.AsyncClient
    url: str = field(repr=False)
    transfer: _Transfer
    allow_loopback: bool
    max_bytes: int
    on_progress: OnProgress | None
    folder: Path
    resolve: Resolve
    attempts: int = 0

    async def once(self) -> None:
        """One attempt, over all its redirects."""
        self.attempts += 1
        try:
            url = httpx.URL(self.url)
            for _ in range(HOPS + 1):
                url = prefer_https(url, allow_loopback=self.allow_loopback)
                address = await self._address(url)
                async with self._get(url, address) as response:
                    if response.status_code not in _REDIRECTS:
                        await self._take(response)
                        return
                    url = url.join(response.headers.get("Location", ""))
        except httpx.InvalidURL as error:
            raise DownloadError("The service gave a broken link for the video.") from error
        except httpx.HTTPError as error:
            raise _Interrupted(f"the connection failed ({type(error).__name__})") from error
        raise DownloadError(f"The link of the video leads on more than {HOPS} times.")

    async def _address(self, url: httpx.URL) -> str | None:
        try:
            addresses = await check_url(url, allow_loopback=self.allow_loopback, resolve=self.resolve)
        except OSError as error:
            raise _Interrupted(f"the host {url.host} cannot be looked up") from error
        # The next attempt tries the next address: one of them may lead nowhere from here.
        return addresses[(self.attempts - 1) % len(addresses)] if addresses else None

    def _get(self, url: httpx.URL, address: str | None) -> AbstractAsyncContextManager[httpx.Response]:
        """To the checked address, under the host's name. No connection is kept: pools go by address, names do not."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close", "Host": _host_header(url)}
        if self.transfer.got:
            headers["Range"] = f"bytes={self.transfer.got}-"
            if self.transfer.validator:
                headers["If-Range"] = self.transfer.validator
        return self.http.stream(
            "GET",
            url if address is None else url.copy_with(host=address),
            headers=headers,
            auth=_WithoutSecrets(),
            timeout=_TIMEOUT,
            follow_redirects=False,
            extensions=None if address is None else {"sni_hostname": url.host},
        )

    async def _take(self, response: httpx.Response) -> None:
        transfer = self.transfer
        self._check_status(response)
        if response.status_code == 416:
            if transfer.got and _range_total(response) == transfer.got:
                return
            transfer.start_over()
            raise _Interrupted("the server refused to go on in the middle")
        if response.headers.get("Content-Encoding", "identity") not in ("", "identity"):
            raise DownloadError("The server sent the video in an encoding that was not asked for.")
        if response.status_code == 206:
            self._go_on(response)
        else:
            transfer.start_over()
            transfer.total = _length(response)
        transfer.validator = _validator(response)
        self._check_size()
        await self._write(response)
        if transfer.total is not None and transfer.got != transfer.total:
            raise _Interrupted(f"{transfer.got} of {transfer.total} bytes came")

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in (200, 206, 416):
            return
        if status in (408, 425, 429) or status >= 500:
            raise _Interrupted(
                f"the server of the video answered {status}",
                retry_after_seconds(response.headers.get("Retry-After")),
            )
        raise LinkRefusedError(f"The link of the video is expired or refused (the server answered {status}).")

    def _go_on(self, response: httpx.Response) -> None:
        """Take up a partial answer where the file ends; anything else begins anew."""
        transfer = self.transfer
        match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
        total = _range_total(response)
        if (
            not match
            or match[1] is None
            or int(match[1]) != transfer.got
            or (transfer.total is not None and total is not None and total != transfer.total)
        ):
            transfer.start_over()
            raise _Interrupted("the server sent another part than was asked for")
        transfer.total = total if total is not None else transfer.total

    def _check_size(self) -> None:
        transfer = self.transfer
        expected = max(transfer.total or 0, transfer.got)
        if expected > self.max_bytes:
            raise DownloadError(
                f"The video is larger than {self.max_bytes // 1_000_000} MB; no result is, so it was not fetched."
            )
        free = shutil.disk_usage(self.folder).free
        if expected - transfer.got + SPARE_BYTES > free:
            raise OSError(errno.ENOSPC, f"{expected - transfer.got} bytes are needed, {free} are free")

    async def _write(self, response: httpx.Response) -> None:
        transfer = self.transfer
        told = 0.0
        # No chunk size: httpx would hold bytes back to fill a chunk, and drop them when the connection is cut.
        async for chunk in response.aiter_raw():
            if transfer.got + len(chunk) > (transfer.total or self.max_bytes):
                if transfer.total is None:
                    raise DownloadError(f"The video is larger than {self.max_bytes // 1_000_000} MB; giving up.")
                transfer.start_over()
                raise _Interrupted("more came than was announced")
            transfer.file.write(chunk)
            transfer.got += len(chunk)
            if self.on_progress is not None and (time.monotonic() - told > 0.1 or transfer.got == transfer.total):
                told = time.monotonic()
                self.on_progress(transfer.got, transfer.total)


def remove_leftovers(
    folder: Path, is_alive: Callable[[str], bool], *, of: str = "", older_than_seconds: float = 600.0
) -> None:
    """Delete temporary files of processes that ended.

    Args:
        folder: where the videos are.
        is_alive: whether the process with this owner name still runs.
        of: only those of this final name.
        older_than_seconds: younger ones stay: their owner may be one that `is_alive` cannot know.
    """
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            owner = path.name.removesuffix(SUFFIX).rpartition(".")[2]
            if path.name.startswith(of) and path.name.endswith(SUFFIX) and not is_alive(owner):
                with contextlib.suppress(OSError):
                    if time.time() - path.stat().st_mtime > older_than_seconds:
                        path.unlink()


class _WithoutSecrets(httpx.Auth):
    """Takes out what the shared client might add: a result's host is none of the API's."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See httpx.Auth."""
        for name in ("Authorization", "Cookie"):
            request.headers.pop(name, None)
        yield request


def _host_header(url: httpx.URL) -> str:
    return url.netloc.decode("ascii")


def _length(response: httpx.Response) -> int | None:
    value = response.headers.get("Content-Length", "")
    return int(value) if value.isdecimal() else None


def _range_total(response: httpx.Response) -> int | None:
    match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    return int(match[2]) if match and match[2] != "*" else None


def _validator(response: httpx.Response) -> str | None:
    """What proves that the rest belongs to the same file. Weak ETags prove nothing about bytes."""
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return str(etag)
    return str(response.headers.get("Last-Modified", "")) or None


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _give_name(part: Path, dest: Path) -> None:
    """Rename, and flush the directory: after a power loss the name is there, or the ledger does not say so."""
    part.replace(dest)
    if os.name == "posix":
        descriptor = os.open(dest.parent, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some network file systems cannot
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _disk_error(error: OSError, folder: Path) -> DownloadError:
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return DownloadError(
            f"Not enough disk space for the video in {folder.name} of the output folder ({error.strerror}). Free some "
            "space and queue again: the task is paid for and will be fetched."
        )
    return DownloadError(
        f"The video could not be written to {folder.name} in the output folder ({error.strerror or error}). The task "
        "is paid for; make the folder writable and queue again."
    )
