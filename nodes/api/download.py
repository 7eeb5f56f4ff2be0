"""Downloads a finished video: resumed after a cut, and checked before it gets its name.

The bytes go to `NAME.RANDOM.OWNER.incomplete` beside the final name, so that a partial file is never taken for a video.
Every redirect is checked by `core.addresses`, and no header of ours that may hold a secret is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

import httpx

from ..core.addresses import Resolve, at_address, check_url, prefer_https, resolve
from ..core.backoff import Backoff, jitter, retry_after_seconds
from ..core.disk import DISK_FULL, flush_to_disk, patiently, remove, replace
from ..core.errors import DownloadError, reason_of
from ..core.limits import MB
from ..core.mp4_boxes import mp4_problem
from .retry import FREE_BACKOFF

OnProgress = Callable[[int, "int | None"], None]
"""Called with the bytes received and the bytes in all, None if unknown."""

SUFFIX = ".incomplete"
HOPS = 5
"""Redirects of one attempt."""
ATTEMPTS = 6
"""Attempts in a row without a single byte before the link is given up."""
SPARE_BYTES = 64 * MB
"""Disk space that stays free beside the video, for the ledger and other programs."""

_TIMEOUT = httpx.Timeout(connect=15.0, read=30.0, write=15.0, pool=60.0)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


class LinkRefusedError(DownloadError):
    """The link has expired or is refused. A new one from the task result may work."""


class NotAVideoError(DownloadError):
    """The file is complete but not a whole mp4: some hosts answer an expired link with a page. A new one may work."""


class UnreachableError(DownloadError):
    """Several attempts in a row received nothing. The host of the link may no longer exist."""


class _Interrupted(Exception):  # noqa: N818 - not an error yet
    """This attempt ended early; another one can continue."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


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
) -> int:
    """Download an mp4 to `dest`, flush it to the disk, and return its size in bytes.

    Args:
        http: shared client without a default Authorization header.
        url: fetched by https; by http too from this machine, if allow_loopback is set.
        dest: final name, which exists only once the file is whole. An existing file is replaced.
        allow_loopback: whether base_url is on loopback itself.
        owner: part of the temporary name; tells which process it belonged to after a crash.

    Raises:
        LinkRefusedError: the link has expired or is refused.
        NotAVideoError: the file is not a whole mp4.
        UnreachableError: nothing arrives.
        DownloadError: the link is unsafe, the file too large, or the disk full.
    """
    await asyncio.to_thread(dest.parent.mkdir, parents=True, exist_ok=True)
    # A new name each time: Windows keeps that of a deleted file in use while another program has the file open.
    part = dest.with_name(f"{dest.name}.{secrets.token_hex(4)}.{owner}{SUFFIX}")
    try:
        with part.open("w+b") as file:
            job = _Download(http, url, file, dest.parent, allow_loopback, max_bytes, on_progress, resolve)
            await job.run(backoff)
            await asyncio.to_thread(_flush, file)
        if problem := await asyncio.to_thread(patiently, partial(mp4_problem, part)):
            raise NotAVideoError(f"The service sent a file that is not a whole mp4: {problem}.")
        await asyncio.to_thread(_rename, part, dest)
        return job.received
    except OSError as error:
        raise _disk_error(error, dest.parent) from error
    finally:
        remove(part)


@dataclass
class _Download:
    """One download over several attempts, and what is known of the file so far."""

    http: httpx.AsyncClient
    url: str = field(repr=False)
    file: IO[bytes]
    folder: Path
    allow_loopback: bool
    max_bytes: int
    on_progress: OnProgress | None
    resolve: Resolve
    attempts: int = 0
    received: int = 0
    total: int | None = None
    validator: str | None = field(default=None, repr=False)

    async def run(self, backoff: Backoff) -> None:
        """Try until the file is complete, or several attempts in a row received nothing."""
        fruitless = 0
        while True:
            before = self.received
            try:
                return await self._attempt()
            except _Interrupted as interrupted:
                fruitless = 0 if self.received > before else fruitless + 1
                if fruitless >= ATTEMPTS:
                    raise UnreachableError(
                        f"The video could not be downloaded: {interrupted}. The service keeps it for a while; queue "
                        "again to continue."
                    ) from interrupted
                pause = backoff.pause(fruitless + 1, jitter())
                if interrupted.retry_after is not None:
                    # Not shorter: a server that asks for no pause would use up all attempts within seconds.
                    pause = max(pause, backoff.pause(fruitless + 1, jitter(), interrupted.retry_after))
                await asyncio.sleep(pause)

    async def _attempt(self) -> None:
        self.attempts += 1
        try:
            url = httpx.URL(self.url)
            for _ in range(HOPS + 1):
                url = prefer_https(url, allow_loopback=self.allow_loopback)
                async with self._get(url, await self._address(url)) as response:
                    if response.status_code not in _REDIRECTS:
                        return await self._receive(response)
                    url = url.join(response.headers.get("Location", ""))
        except httpx.InvalidURL as error:
            raise DownloadError("The service returned a broken link to the video.") from error
        except httpx.HTTPError as error:
            raise _Interrupted(f"the connection failed ({type(error).__name__})") from error
        raise DownloadError(f"The link to the video leads through more than {HOPS} redirects.")

    async def _address(self, url: httpx.URL) -> str | None:
        try:
            addresses = await check_url(url, allow_loopback=self.allow_loopback, resolve=self.resolve)
        except OSError as error:
            raise _Interrupted(f"the host {url.host} cannot be resolved") from error
        # The next attempt tries the next address: one of them may not be reachable from here.
        return addresses[(self.attempts - 1) % len(addresses)] if addresses else None

    def _get(self, url: httpx.URL, address: str | None) -> AbstractAsyncContextManager[httpx.Response]:
        """Request the checked address under the host's name.

        The connection is not kept: the pool knows it by the address, under which other names may be served.
        """
        url, host, extensions = at_address(url, address)
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close", **host}
        if self.received:
            headers["Range"] = f"bytes={self.received}-"
            if self.validator:
                headers["If-Range"] = self.validator
        return self.http.stream(
            "GET",
            url,
            headers=headers,
            auth=_WithoutSecrets(),
            timeout=_TIMEOUT,
            follow_redirects=False,
            extensions=extensions,
        )

    async def _receive(self, response: httpx.Response) -> None:
        _check_status(response)
        start, total = _content_range(response)
        if response.status_code == 416:
            if self.received and total == self.received:
                return
            raise self._start_over("the server refused to continue in the middle")
        if response.headers.get("Content-Encoding", "identity") not in ("", "identity"):
            raise DownloadError("The server sent the video in an encoding that was not requested.")
        if response.status_code == 206:
            if start != self.received or (self.total is not None and total not in (None, self.total)):
                raise self._start_over("the server sent another part than requested")
            self.total = self.total if total is None else total
        else:
            self._reset()
            length = response.headers.get("Content-Length", "")
            self.total = int(length) if length.isdecimal() else None
        self.validator = _validator(response)
        self._check_size()
        await self._write(response)
        if self.total is not None and self.received != self.total:
            raise _Interrupted(f"{self.received} of {self.total} bytes arrived")

    def _reset(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.received, self.total, self.validator = 0, None, None

    def _start_over(self, reason: str) -> _Interrupted:
        self._reset()
        return _Interrupted(reason)

    def _check_size(self) -> None:
        expected = max(self.total or 0, self.received)
        if expected > self.max_bytes:
            raise self._too_large()
        free = shutil.disk_usage(self.folder).free
        if expected - self.received + SPARE_BYTES > free:
            raise OSError(errno.ENOSPC, f"{expected - self.received} bytes are needed, {free} are free")

    def _too_large(self) -> DownloadError:
        return DownloadError(
            f"The video is larger than {self.max_bytes // MB} MB, more than any result, so it was not downloaded."
        )

    async def _write(self, response: httpx.Response) -> None:
        reported = 0.0
        # No chunk size: httpx would hold bytes back to fill a chunk, and drop them when the connection is cut.
        async for chunk in response.aiter_raw():
            if self.received + len(chunk) > (self.total or self.max_bytes):
                raise self._too_large() if self.total is None else self._start_over("more arrived than was announced")
            self.file.write(chunk)
            self.received += len(chunk)
            if self.on_progress is not None and (time.monotonic() - reported > 0.1 or self.received == self.total):
                reported = time.monotonic()
                self.on_progress(self.received, self.total)


def remove_leftovers(
    folder: Path, is_alive: Callable[[str], bool], *, of: str = "", older_than_seconds: float = 600.0
) -> None:
    """Delete the temporary files whose owner is not alive: all in the folder, or those of the final name `of`.

    Files younger than `older_than_seconds` are kept, as `is_alive` may not know their owner.
    """
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            owner = path.name.removesuffix(SUFFIX).rpartition(".")[2]
            if path.name.startswith(of) and path.name.endswith(SUFFIX) and not is_alive(owner):
                with contextlib.suppress(OSError):
                    if time.time() - path.stat().st_mtime > older_than_seconds:
                        path.unlink()


class _WithoutSecrets(httpx.Auth):
    """Removes headers that the shared client may add: the host of a result must not see them."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        for name in ("Authorization", "Cookie"):
            request.headers.pop(name, None)
        yield request


def _check_status(response: httpx.Response) -> None:
    status = response.status_code
    if status in (408, 425, 429) or status >= 500:
        retry_after = retry_after_seconds(response.headers.get("Retry-After"))
        raise _Interrupted(f"the server of the video answered {status}", retry_after)
    if status not in (200, 206, 416):
        raise LinkRefusedError(f"The link to the video has expired or is refused (the server answered {status}).")


def _content_range(response: httpx.Response) -> tuple[int | None, int | None]:
    """Return the first byte of a part and the size of the whole file, None if the server does not say."""
    match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    if match is None:
        return None, None
    return int(match[1]) if match[1] else None, int(match[2]) if match[2] != "*" else None


def _validator(response: httpx.Response) -> str | None:
    """Return what proves that the rest belongs to the same file. A weak ETag proves nothing about bytes."""
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return str(etag)
    return str(response.headers.get("Last-Modified", "")) or None


def _flush(file: IO[bytes]) -> None:
    file.flush()
    flush_to_disk(file.fileno())


def _rename(part: Path, dest: Path) -> None:
    """Rename the file and flush the directory, so that the name survives a power loss that the ledger survives."""
    replace(part, dest)
    if os.name == "posix":
        descriptor = os.open(dest.parent, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some network file systems cannot do this
                flush_to_disk(descriptor)
        finally:
            os.close(descriptor)


def _disk_error(error: OSError, folder: Path) -> DownloadError:
    if error.errno in DISK_FULL:
        problem, advice = f"There is not enough disk space for the video in {folder.name}", "Free some space"
    else:
        problem, advice = f"The video could not be written to {folder.name}", "Make the folder writable"
    return DownloadError(
        f"{problem} in the output folder ({reason_of(error)}). {advice} and queue again: the task is paid "
        "for, and its video will be downloaded."
    )
