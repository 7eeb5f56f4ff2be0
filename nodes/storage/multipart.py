"""A form with one file (RFC 7578), streamed: httpx encodes it, but would read the file on the event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import httpx

from ..media.files import MediaFile
from .base import OnProgress, read_chunks


class Form:
    """The body of a form POST: first `fields`, then the file, called `name`, in the field `file_field`."""

    def __init__(self, fields: Mapping[str, str], file_field: str, name: str, file: MediaFile) -> None:
        # The content of the real file goes into the form of an empty one.
        empty = httpx.Request("POST", "http://form", data=fields, files={file_field: (name, b"", file.mime)})
        self.content_type = empty.headers["Content-Type"]
        self._tail = f"\r\n--{self.content_type.partition('boundary=')[2]}--\r\n".encode()
        self._head = empty.read().removesuffix(self._tail)
        self._file = file
        self.size = len(self._head) + file.size + len(self._tail)

    async def body(self, on_progress: OnProgress | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the bytes. `on_progress` counts those of the file."""
        yield self._head
        async with aclosing(read_chunks(self._file, on_progress)) as chunks:
            async for chunk in chunks:
                yield chunk
        yield self._tail
