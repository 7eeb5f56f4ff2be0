"""Media files that are ready to be sent, and the errors of everything that makes one."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..core.disk import remove

if TYPE_CHECKING:
    from torch import Tensor

Cancelled = Callable[[], bool]
"""Polled during long work. Once it returns True, the work stops with MediaCancelled."""
Source = str | PathLike[str] | BytesIO
"""A file on disk or in memory."""

MIME = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
}
"""MIME type by extension of every kind of file this pack makes or sends. A browser never runs any of them."""
_CHUNK = 1 << 20


class MediaError(ValueError):
    """An image, audio or clip that cannot be used. The text names the value, the limit and a way out."""


class MediaCancelled(Exception):  # noqa: N818 - nothing went wrong, the user pressed the button
    """The work was interrupted from outside. Partly written files are gone."""


@dataclass(frozen=True)
class MediaFile:
    """One file inside the limits it was made for.

    Attributes:
        sha256: of the file's bytes.
        content: content hash of the source (see `content_hash`), the same whichever encoder wrote the file.
        seconds: length of this file, not of its source.
        notes: one sentence for each change that brought the source inside the limits.
    """

    path: Path
    extension: str
    size: int
    sha256: str
    content: str
    seconds: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def mime(self) -> str:
        """MIME type, for instance "image/png"."""
        return MIME[self.extension]

    @property
    def kind(self) -> str:
        """First half of the MIME type: "image", "audio" or "video"."""
        return self.mime.partition("/")[0]


def describe(
    path: Path,
    *,
    extension: str | None = None,
    content: str | None = None,
    seconds: float | None = None,
    notes: tuple[str, ...] = (),
) -> MediaFile:
    """Return the `MediaFile` of a finished file.

    Args:
        extension: replaces the one in the file's name.
        content: None if the file is sent as its owner made it; its SHA-256 then stands for the content.
    """
    sha256 = sha256_of(path)
    return MediaFile(
        path,
        extension or path.suffix.lstrip(".").lower(),
        path.stat().st_size,
        sha256,
        content or sha256,
        seconds,
        notes,
    )


def new_path(directory: Path, extension: str) -> Path:
    """Return an unused file name in `directory`.

    Raises:
        MediaCancelled: the directory is gone, so whoever waited for the file has cleaned up already. A directory
            created again here would never be deleted.
    """
    if not directory.is_dir():
        raise MediaCancelled
    return directory / f"{secrets.token_hex(12)}.{extension}"


@contextmanager
def removed_on_error(path: Path) -> Iterator[None]:
    """Delete the file that the block writes if the block raises. A file that cannot be deleted hides no error."""
    try:
        yield
    except BaseException:
        remove(path)
        raise


def open_binary(source: Source) -> BinaryIO:
    """Open a file for reading. A BytesIO shares its bytes and keeps its position: another node may be reading it."""
    return BytesIO(source.getvalue()) if isinstance(source, BytesIO) else Path(source).open("rb")


def name_of(source: Source) -> str:
    """Return what to call the file in a message: its name without the folders."""
    return "The video" if isinstance(source, BytesIO) else Path(source).name


def sha256_of(source: Source, cancelled: Cancelled | None = None) -> str:
    """Return the SHA-256 of a file's bytes in hex, read in small pieces. Raises MediaCancelled."""
    digest = hashlib.sha256()
    with open_binary(source) as stream:
        while chunk := stream.read(_CHUNK):
            check_cancelled(cancelled)
            digest.update(chunk)
    return digest.hexdigest()


def check_readable(tensor: Tensor, *, name: str) -> None:
    """Raise MediaError for a tensor whose values cannot be read one after the other, or are complex."""
    import torch

    if tensor.layout != torch.strided or tensor.device.type == "meta" or tensor.is_quantized or tensor.is_complex():
        kind = "quantized" if tensor.is_quantized else f"{tensor.layout} of {tensor.dtype} on {tensor.device}"
        raise MediaError(f"{name} is a tensor that cannot be read ({kind}). Look at the node that made it.")


def check_cancelled(cancelled: Cancelled | None) -> None:
    """Raise MediaCancelled if the callback says that the work was interrupted."""
    if cancelled is not None and cancelled():
        raise MediaCancelled


def sentences(parts: Iterable[str]) -> tuple[str, ...]:
    """Return each text as a sentence."""
    return tuple(f"{part[0].upper()}{part[1:]}." for part in parts)


def megabytes(size: int) -> str:
    """Format a size for an error text, in MB of 1,000,000 bytes."""
    return f"{size / 1_000_000:.1f} MB"
