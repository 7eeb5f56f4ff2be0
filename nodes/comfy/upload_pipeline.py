"""From finished files to URLs, for the three upload nodes: the same content once, notes on the node, no leftovers."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from ..ledger import Upload
from ..media.files import MediaFile
from . import node_cache
from .runtime import executing_node_id, executing_prompt_id, in_thread, show_progress, show_text, until_interrupted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ..services import Services
    from ..storage.base import StoredUrl
    from .runtime import Job

log = logging.getLogger(__name__)

T = TypeVar("T")
Encode = Callable[["Job", Path], MediaFile]

MIN_LIFE_SECONDS = 30 * 60
"""A URL that ends sooner is not given out: the service fetches it only when the task starts."""

_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], asyncio.Lock]] = WeakKeyDictionary()
_soonest: dict[str, tuple[str, float]] = {}


async def encode_and_send(encoders: Sequence[Encode]) -> list[tuple[str, MediaFile]]:
    """Make all files, then store them; URL and file of each, in order. Everything is checked before anything is sent.

    Each encoder is called as `encode(job, directory)` in a thread, as many at a time as there are cores.

    Raises:
        MediaError: from an encoder; nothing was sent.
        StorageError: from the storage.
    """
    from ..services import get_services

    node_id = executing_node_id()
    async with _scratch() as directory:
        cores = asyncio.Semaphore(os.cpu_count() or 1)
        files = await _together([_encode(encode, directory, cores, node_id) for encode in encoders])
        services = await get_services()
        _tell(services, files, node_id)
        sent = _Sent(files, node_id)
        urls = await until_interrupted(
            _together([_send_once(services, file, partial(sent.at, index)) for index, file in enumerate(files)]),
            every=sent.show,
        )
        await sent.show()
    _remember_expiry([expires_at for _, expires_at in urls if expires_at is not None], node_id)
    return [(url, file) for (url, _), file in zip(urls, files, strict=True)]


def fingerprint() -> str:
    """Changes when files go elsewhere now, and when a URL that this node gave out is about to end."""
    from ..services import connection_identity, current_settings

    generation = node_cache.generation(_key(executing_node_id()))
    return f"{connection_identity()} {current_settings().storage.kind} {generation}"


@asynccontextmanager
async def _scratch() -> AsyncIterator[Path]:
    """A folder outside of what ComfyUI serves, gone afterwards with all that is in it."""
    folder = await asyncio.to_thread(partial(TemporaryDirectory, prefix="wan27-", ignore_cleanup_errors=True))
    try:
        yield Path(folder.name)
    finally:
        # Not awaited on another thread: after a cancel there is no loop to come back to.
        folder.cleanup()


async def _encode(encode: Encode, directory: Path, cores: asyncio.Semaphore, node_id: str | None) -> MediaFile:
    async with cores:
        return await in_thread(encode, directory, node_id=node_id)


async def _together(work: Sequence[Awaitable[T]]) -> list[T]:
    """The results in order. After the first error the others are ended before it is raised."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send_once(
    services: Services, file: MediaFile, on_progress: Callable[[int, int], None]
) -> tuple[str, float | None]:
    """URL and expiry. The lock makes nodes that run side by side wait for the one that sends the same content."""
    storage, ledger = services.storage, services.ledger
    key = (storage.name, file.sha256)
    async with _locks.setdefault(asyncio.get_running_loop(), {}).setdefault(key, asyncio.Lock()):
        known = await asyncio.to_thread(ledger.uploads.find, file.sha256, storage.name, MIN_LIFE_SECONDS)
        stored: Upload | StoredUrl
        if known is not None:
            on_progress(file.size, file.size)
            log.info("Wan 2.7: this %s was uploaded before and its URL still lives; not sent again.", file.kind)
            stored = known
        else:
            stored = await storage.put(file, on_progress=on_progress)
        if known is None or known.content != file.content:
            upload = Upload(
                url=stored.url,
                sha256=file.sha256,
                content=file.content,
                kind=file.kind,
                storage=storage.name,
                expires_at=stored.expires_at,
                seconds=file.seconds,
            )
            await asyncio.to_thread(ledger.uploads.add, upload)
        return stored.url, stored.expires_at


def _tell(services: Services, files: Sequence[MediaFile], node_id: str | None) -> None:
    """Say on the node and in the log what was changed, and where the files go."""
    notes = [note for file in files for note in file.notes]
    for note in notes:
        log.info("Wan 2.7: %s", note)
    size = sum(file.size for file in files) / 1_000_000
    summary = f"{len(files)} {files[0].kind}{'s' if len(files) > 1 else ''}, {size:.1f} MB"
    show_text(
        "\n".join(filter(None, [services.sandbox_note, services.storage.privacy_notice, *notes, summary])),
        node_id=node_id,
    )


def _key(node_id: str | None) -> str:
    return f"upload {node_id}"


def _remember_expiry(expiries: Sequence[float], node_id: str | None) -> None:
    """Have the node run again before the first of its URLs ends. A list input runs it several times in one prompt."""
    prompt_id = executing_prompt_id()
    before_prompt, before = _soonest.get(_key(node_id), ("", float("inf")))
    soonest = min([*expiries, before if before_prompt == prompt_id else float("inf")])
    _soonest[_key(node_id)] = (prompt_id, soonest)
    node_cache.remember(_key(node_id), lambda: time.time() > soonest - MIN_LIFE_SECONDS)


class _Sent:
    """How much of all files is sent. A file can start again from 0 when a storage tries twice."""

    def __init__(self, files: Sequence[MediaFile], node_id: str | None) -> None:
        self._node_id = node_id
        self._total = sum(file.size for file in files)
        self._done = [0] * len(files)
        self._shown = -1

    def at(self, index: int, done: int, _total: int) -> None:
        self._done[index] = done

    async def show(self) -> None:
        done = sum(self._done)
        if done != self._shown:
            self._shown = done
            await show_progress(min(done, self._total), self._total, node_id=self._node_id)
