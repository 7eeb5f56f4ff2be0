"""A form with one file (RFC 7578), streamed: httpx would read the file on the event loop."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from ..media.files import MediaFile
from .base import Progress, read_chunks


class Form:
    """The body of a form POST.

    Args:
        fields: the other fields, sent before the file.
        file_field: name of the field that holds the file.
        name: name of the file in the form.
        file: the file.
    """

    def __init__(self, fields: Mapping[str, str], file_field: str, name: str, file: MediaFile) -> None:
        boundary = secrets.token_hex(16)
        self._file = file
        self._head = (
            b"".join(
                f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(key)}"\r\n\r\n{value}\r\n'.encode()
                for key, value in fields.items()
            )
            + (
                f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(file_field)}"; '
                f'filename="{_escaped(name)}"\r\nContent-Type: {file.mime}\r\n\r\n'
            ).encode()
        )
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.size = len(self._head) + file.size + len(self._tail)

    async def body(self, on_progress: Progress | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the bytes. `on_progress` counts those of the file."""
        yield self._head
        async with aclosing(read_chunks(self._file, on_progress)) as chunks:
            async for chunk in chunks:
                yield chunk
        yield self._tail


def _escaped(name: str) -> str:
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
