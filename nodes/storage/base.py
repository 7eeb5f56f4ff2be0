"""What every storage does: take a file, give back a URL that the service can fetch, and say when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from ..core.errors import StorageError
from ..media.files import MediaFile

Progress = Callable[[int, int], None]
"""Called with bytes sent and bytes in all."""

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class StoredUrl:
    """Where a file can be fetched. The URL may be signed, so it never shows in a repr.

    Attributes:
        url: http(s) URL, or a data URI.
        expires_at: seconds since 1970, or None where it does not end.
    """

    url: str = field(repr=False)
    expires_at: float | None = None


class Storage(Protocol):
    """One place for files."""

    @property
    def name(self) -> str:
        """Tells this place from every other one; what was stored under another name is not found here."""

    @property
    def privacy_notice(self) -> str:
        """One sentence on who can read the files, or "" if only the service can."""

    async def put(self, file: MediaFile, *, on_progress: Progress | None = None) -> StoredUrl:
        """Store a file.

        Raises:
            StorageError: what failed, and which setting to change.
        """


async def read_chunks(file: MediaFile, on_progress: Progress | None = None) -> AsyncGenerator[bytes, None]:
    """A file in chunks, read off the event loop, so that no upload holds a whole clip in memory.

    Raises:
        StorageError: the file is no longer as long as it was when it was looked at.
        OSError: it cannot be read.
    """
    sent = 0
    # Opened on the loop: a thread that is still opening when the upload is cancelled would leave it open.
    with file.path.open("rb") as opened:
        while chunk := await asyncio.to_thread(opened.read, CHUNK_BYTES):
            sent += len(chunk)
            if sent > file.size:
                break
            yield chunk
            if on_progress is not None:
                on_progress(sent, file.size)
    if sent != file.size:
        raise StorageError(f"{file.path.name} changed while it was sent. Run the node again.")
