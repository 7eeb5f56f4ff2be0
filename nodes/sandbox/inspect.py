"""An independent reader of media files: what they contain, and whether the service would accept them.

It looks at the content, never at the name or the declared type, and shares no code with the packages that write files.
"""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..core import limits
from ..core.mp4_index import FalseIndexError, check_index

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..core.limits import AudioBounds, ClipBounds, ImageBounds

BOUNDS: dict[str, ImageBounds | ClipBounds | AudioBounds] = {
    "image_url": limits.IMAGE,
    "last_frame_url": limits.IMAGE,
    "first_clip_url": limits.CLIP,
    "driving_audio_url": limits.AUDIO,
}
"""The limits of each media field of a request."""
_EPSILON = 0.001
"""Tolerance of a length in seconds: time bases cannot express every whole second exactly."""


class InvalidMediaError(ValueError):
    """The file is outside the limits of the service. The task fails with this text."""


@dataclass(frozen=True)
class Facts:
    """What a file contains: width and height after rotation, seconds of its stream. Values that do not apply are 0."""

    format: str
    size: int
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    frames: int = 0
    sample_rate: int = 0
    transparent: bool = False


def inspect_media(source: bytes | Path, field: str) -> Facts:
    """Read a whole media file, from its bytes or its path, and check it against the limits of `field` (see `BOUNDS`).

    Raises:
        InvalidMediaError: not of an accepted format, broken, or outside a limit.
    """
    file: BinaryIO = BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    with file:
        size, limit = file.seek(0, os.SEEK_END), BOUNDS[field].max_bytes
        if size == 0:
            raise InvalidMediaError(f"{field} is empty")
        if size > limit:
            raise InvalidMediaError(f"{field} has {size} bytes, the limit is {limit}")
        file.seek(0)
        kind = sniff(file.read(16))
        file.seek(0)
        read = {"first_clip_url": _clip, "driving_audio_url": _audio}.get(field, _image)
        return read(file, field, kind, size)


def sniff(head: bytes) -> str:
    """Return the format that the first bytes of a file announce, "" if it is none of the accepted ones."""
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if head[:4] == b"RIFF" and head[8:12] in (b"WAVE", b"WEBP"):
        return "wav" if head[8:12] == b"WAVE" else "webp"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mov" if head[4:8] != b"ftyp" or head[8:12] == b"qt  " else "mp4"
    if head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2):
        return "mp3"
    return {b"\xff\xd8": "jpeg", b"BM": "bmp"}.get(head[:2], "")


def open_image(source: BinaryIO | Path) -> Image:
    """Open an image of an accepted format without decoding it; raise OSError for anything else."""
    from PIL import Image as Pillow

    with warnings.catch_warnings():
        # images of up to 64 Mpx are legal; larger ones are refused by their sides
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
        return Pillow.open(source, formats=("JPEG", "PNG", "BMP", "WEBP"))


def _image(file: BinaryIO, field: str, kind: str, size: int) -> Facts:
    from PIL import Image as Pillow

    try:
        image = open_image(file)
    except Pillow.DecompressionBombError:
        raise InvalidMediaError(f"{field} has too many pixels: {_sides_rule(limits.IMAGE)}") from None
    except (OSError, ValueError, SyntaxError):
        raise InvalidMediaError(f"{field} is not a JPEG, PNG, BMP or WEBP image") from None
    width, height = image.size
    _check_sides(field, width, height, limits.IMAGE)
    transparent = image.has_transparency_data
    if kind == "png" and transparent:
        raise InvalidMediaError(f"{field} is a PNG with transparency, which is not accepted")
    try:
        image.load()
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidMediaError(f"{field} cannot be decoded: {error}") from None
    width, height = (height, width) if turned else (width, height)
    return Facts(kind, size, width=width, height=height, transparent=transparent)


def _clip(file: BinaryIO, field: str, kind: str, size: int) -> Facts:
    import av

    if kind not in ("mp4", "mov"):
        raise InvalidMediaError(f"{field} is not an mp4 or mov file")
    try:
        check_index(file, field)
        file.seek(0)
        with av.open(file, format="mov") as container:
            if not container.streams.video:
                raise InvalidMediaError(f"{field} has no video stream")
            stream = container.streams.video[0]
            start, end, frames = math.inf, 0, 0
            for packet in container.demux(stream):
                if packet.pts is not None:
                    start, end = min(start, packet.pts), max(end, packet.pts + (packet.duration or 0))
                    frames += 1
            container.seek(0)
            first = next(container.decode(stream), None)
            if first is None or not frames or stream.time_base is None:
                raise InvalidMediaError(f"{field} has no frame that can be decoded")
            width, height = (first.height, first.width) if first.rotation % 180 else (first.width, first.height)
            seconds = float((end - max(start, 0)) * stream.time_base)
    except FalseIndexError as error:
        raise InvalidMediaError(str(error)) from None
    except (av.error.FFmpegError, OSError, UnicodeDecodeError) as error:
        raise InvalidMediaError(f"{field} cannot be read as mp4 or mov: {error}") from None
    _check_sides(field, width, height, limits.CLIP)
    _check_seconds(field, seconds, limits.CLIP)
    return Facts(kind, size, width=width, height=height, seconds=seconds, frames=frames)


def _audio(file: BinaryIO, field: str, kind: str, size: int) -> Facts:
    import av

    if kind not in ("wav", "mp3"):
        raise InvalidMediaError(f"{field} is not a wav or mp3 file")
    try:
        with av.open(file, format=kind) as container:
            if not container.streams.audio:
                raise InvalidMediaError(f"{field} has no audio stream")
            stream = container.streams.audio[0]
            samples = sum(frame.samples for frame in container.decode(stream))
            rate = stream.rate
    except (av.error.FFmpegError, OSError, UnicodeDecodeError) as error:
        raise InvalidMediaError(f"{field} cannot be decoded as {kind}: {error}") from None
    seconds = samples / rate if rate else 0.0
    _check_seconds(field, seconds, limits.AUDIO)
    return Facts(kind, size, seconds=seconds, sample_rate=rate)


def _check_sides(field: str, width: int, height: int, bounds: ImageBounds | ClipBounds) -> None:
    if not all(bounds.min_side <= side <= bounds.max_side for side in (width, height)):
        raise InvalidMediaError(f"{field} is {width}x{height} pixels: {_sides_rule(bounds)}")
    if not limits.within_aspect(width, height, bounds.max_aspect):
        raise InvalidMediaError(f"{field} is {width}x{height} pixels: the aspect must be 1:8 to 8:1")


def _sides_rule(bounds: ImageBounds | ClipBounds) -> str:
    return f"width and height must be in [{bounds.min_side}, {bounds.max_side}]"


def _check_seconds(field: str, seconds: float, bounds: AudioBounds | ClipBounds) -> None:
    low, high = bounds.min_seconds, bounds.max_seconds
    if not low - _EPSILON <= seconds <= high + _EPSILON:
        raise InvalidMediaError(f"{field} is {seconds:.3f} s long: it must be {low:g} to {high:g} s")
