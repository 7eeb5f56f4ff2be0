"""The interface of a storage: it takes a file and returns a URL that the service can fetch, and when it expires."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from ..core.errors import StorageError
from ..media.files import MediaFile

OnProgress = Callable[[int, int], None]
"""Called with the bytes sent and the bytes in all."""

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class StoredUrl:
    """The http(s) URL or data URI of a stored file. It may be signed, so it never shows in a repr.

    `expires_at` is in seconds since 1970, or None if the URL does not expire.
    """

    url: str = field(repr=False)
    expires_at: float | None = None


class Storage(Protocol):
    """One place for files."""

    @property
    def name(self) -> str:
        """Identifies this place: a file that was stored under another name is not found here."""

    @property
    def public_links(self) -> bool:
        """Whether everybody who has the link of a file can read it, which is then with a company that others use."""

    @property
    def privacy_notice(self) -> str:
        """One sentence on who can read the files, or "" if only the service can."""

    async def put(self, file: MediaFile, *, on_progress: OnProgress | None = None) -> StoredUrl:
        """Store a file. Raises StorageError, which says what failed and which setting to change."""


async def read_chunks(file: MediaFile, on_progress: OnProgress | None = None) -> AsyncGenerator[bytes, None]:
    """Yield a file in chunks, read in a thread, so that no upload holds a whole clip in memory.

    Raises:
        StorageError: the size of the file has changed since it was described.
        OSError: it cannot be read.
    """
    sent = 0
    # Opened on the event loop: if the upload is cancelled while a thread opens the file, it stays open.
    with file.path.open("rb") as opened:
        while chunk := await asyncio.to_thread(opened.read, CHUNK_BYTES):
            sent += len(chunk)
            if sent > file.size:
                break
            yield chunk
            if on_progress is not None:
                on_progress(sent, file.size)
    if sent != file.size:
        raise StorageError(f"{file.path.name} changed while it was being sent. Run the node again.")
