"""From finished files to URLs, for the three upload nodes: each content is uploaded once, and no file is left over."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import WeakKeyDictionary

from ..core.temporary import temporary_folder
from ..ledger import Ledger, Upload
from ..media.files import MediaFile
from ..storage import Storage
from .node_cache import NodeCache
from .runtime import Job, ProgressBar, executing, in_thread, show_text, until_interrupted

log = logging.getLogger(__name__)

T = TypeVar("T")
Encode = Callable[[Job, Path], MediaFile]
"""Called as `encode(job, directory)` in a thread; creates the file in `directory`."""

MIN_LIFE_SECONDS = 30 * 60
"""A URL that expires sooner is not used: the service fetches it only when the task starts."""


class UploadPipeline:
    """Uploads of all nodes. `cache` runs a node again before a URL of it expires. `clock`: seconds since 1970."""

    def __init__(self, cache: NodeCache, *, clock: Callable[[], float] = time.time) -> None:
        self._cache, self._clock = cache, clock
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], asyncio.Lock]]
        self._locks = WeakKeyDictionary()
        self._warned: set[str] = set()

    async def upload(
        self,
        encoders: Sequence[Encode],
        *,
        storage: Storage,
        ledger: Ledger,
        note: str = "",
        check_balance: Callable[[], Awaitable[None]] | None = None,
    ) -> list[tuple[str, MediaFile]]:
        """Create a file with each encoder, then store all; return URL and file of each, in order.

        Every file is created and checked before any is sent. As many encoders run at the same time as there are cores.
        The ledger remembers what was uploaded. `note` is shown on the node before everything else. `check_balance` is
        called before a file is sent that no request in the ledger has: a request with it will have to be paid for.

        Raises:
            MediaError: from an encoder; nothing was sent.
            BudgetError: from `check_balance`; nothing was sent.
            StorageError: from the storage.
        """
        prompt_id, node_id = executing()
        with temporary_folder() as directory:
            cores = asyncio.Semaphore(os.cpu_count() or 1)
            files = await _gather([_encode(encode, directory, cores) for encode in encoders])
            self._report(files, storage, note, node_id)
            if check_balance is not None and await asyncio.to_thread(_any_is_new, files, ledger):
                await until_interrupted(check_balance())
            uploads = await self._send_all(files, storage, ledger, ProgressBar(node_id))
        expiries = [upload.expires_at for upload in uploads if upload.expires_at is not None]
        self._cache.add_check(
            _key(node_id),
            lambda: any(self._clock() > expires_at - MIN_LIFE_SECONDS for expires_at in expiries),
            prompt_id=prompt_id,
        )
        return [(upload.url, file) for upload, file in zip(uploads, files, strict=True)]

    def generation(self) -> int:
        """Return a number that increases when a URL that the executing node returned is about to expire."""
        return self._cache.generation(_key(executing()[1]))

    async def _send_all(
        self, files: Sequence[MediaFile], storage: Storage, ledger: Ledger, bar: ProgressBar
    ) -> list[Upload]:
        sent, total = [0] * len(files), sum(file.size for file in files)

        def set_sent(index: int, done: int, _total: int) -> None:
            sent[index] = done  # starts again from 0 if a storage tries twice

        async def show() -> None:
            await bar.show(min(sum(sent), total), total)

        sending = [self._send(file, storage, ledger, partial(set_sent, index)) for index, file in enumerate(files)]
        uploads = await until_interrupted(_gather(sending), every=show)
        await show()
        return uploads

    async def _send(
        self, file: MediaFile, storage: Storage, ledger: Ledger, on_progress: Callable[[int, int], None]
    ) -> Upload:
        """Store a file, unless the same content was stored there before or another node is just doing it."""
        locks = self._locks.setdefault(asyncio.get_running_loop(), {})
        async with locks.setdefault((storage.name, file.sha256), asyncio.Lock()):
            known = await asyncio.to_thread(ledger.uploads.find, file.sha256, storage.name, MIN_LIFE_SECONDS)
            if known is not None:
                on_progress(file.size, file.size)
                log.info("Wan 2.7: this %s was uploaded before and its URL is still valid; not sent again.", file.kind)
                if known.content == file.content:
                    return known
            stored = known or await storage.put(file, on_progress=on_progress)
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
            return upload

    def _report(self, files: Sequence[MediaFile], storage: Storage, note: str, node_id: str) -> None:
        """Report on the node and in the log what was changed and who can read the files, on the node in a few words."""
        privacy = storage.privacy_notice
        if privacy and privacy not in self._warned:
            self._warned.add(privacy)
            log.warning("Wan 2.7: %s", privacy)
        changes = [change for file in files for change in file.notes]
        for change in changes:
            log.info("Wan 2.7: %s", change)
        size = sum(file.size for file in files) / 1_000_000
        summary = f"{len(files)} {files[0].kind}{'s' if len(files) > 1 else ''}, {size:.1f} MB" + (
            " · public link" if storage.public_links else ""
        )
        show_text("\n".join(filter(None, [note, *changes, summary])), node_id=node_id)


def _any_is_new(files: Sequence[MediaFile], ledger: Ledger) -> bool:
    """Return whether a file is certain to make a new request: no request that has or will have a video contains it."""
    known = {value for request in ledger.known_requests() for value in request.values() if isinstance(value, str)}
    return not all(f"sha256:{file.content}" in known or f"sha256:{file.sha256}" in known for file in files)


def _key(node_id: str) -> str:
    return f"upload {node_id}"


async def _encode(encode: Encode, directory: Path, cores: asyncio.Semaphore) -> MediaFile:
    async with cores:
        return await in_thread(encode, directory)


async def _gather(work: Sequence[Awaitable[T]]) -> list[T]:
    """Return the results in order. After the first error, end the others before it is raised."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
