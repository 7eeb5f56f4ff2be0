"""A file that is ready to be sent, and the errors of everything that makes one."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

Kind = Literal["image", "audio", "video"]

MIME = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
}
"""Every kind of file this package makes or sends, by extension. Nothing here is ever run by a browser."""
_KIND: dict[str, Kind] = {"image": "image", "audio": "audio", "video": "video"}
_CHUNK = 1 << 20


class MediaError(ValueError):
    """A picture, sound or clip that cannot be used. The text names the value, the limit and a way out."""


class MediaCancelled(Exception):  # noqa: N818 - nothing went wrong, somebody pressed the button
    """The work was interrupted from outside. What was half written is gone."""


@dataclass(frozen=True)
class MediaFile:
    """One file inside the limits it was made for.

    `owned` files were written by this package and may be deleted after the upload; the others are the user's own, sent
    as they are. `sha256` is that of the file. `content` stays the same where another encoder writes another file of the
    same source: see `content.py`. `seconds` is the length of this file, not of what it was made from. `notes` says in
    one sentence each what was changed to bring it inside the limits.
    """

    path: Path
    kind: Kind
    mime: str
    extension: str
    size: int
    sha256: str
    content: str
    owned: bool
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()

    def discard(self) -> None:
        """Delete the file if it is ours. Never touches a file of the user's."""
        if self.owned:
            self.path.unlink(missing_ok=True)


def new_path(directory: Path, extension: str) -> Path:
    """A name nothing else uses, in `directory`.

    Raises MediaCancelled where that is gone: whoever waited for the file has cleaned up. Made anew, it would stay.
    """
    if not directory.is_dir():
        raise MediaCancelled
    return directory / f"{secrets.token_hex(12)}.{extension}"


def sha256_of(source: Path | BytesIO, cancelled: Callable[[], bool] | None = None) -> str:
    """The SHA-256 of a file's bytes in hex, read in small pieces. Raises MediaCancelled."""
    digest = hashlib.sha256()
    with BytesIO(source.getvalue()) if isinstance(source, BytesIO) else source.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            if cancelled is not None and cancelled():
                raise MediaCancelled
            digest.update(chunk)
    return digest.hexdigest()


def describe(
    path: Path,
    *,
    owned: bool,
    extension: str | None = None,
    content: str | None = None,
    width: int | None = None,
    height: int | None = None,
    seconds: float | None = None,
    notes: tuple[str, ...] = (),
) -> MediaFile:
    """The `MediaFile` of a finished file; kind and MIME type follow from the ending, its own or the one given.

    content: left out where the file is sent as its owner made it.
    """
    extension = extension or path.suffix.lstrip(".").lower()
    mime = MIME[extension]
    sha256 = sha256_of(path)
    return MediaFile(
        path=path,
        kind=_KIND[mime.partition("/")[0]],
        mime=mime,
        extension=extension,
        size=path.stat().st_size,
        sha256=sha256,
        content=content or sha256,
        owned=owned,
        width=width,
        height=height,
        seconds=seconds,
        notes=notes,
    )


def megabytes(size: int) -> str:
    """A size for an error text, in MB of 1,000,000 bytes."""
    return f"{size / 1_000_000:.1f} MB"
