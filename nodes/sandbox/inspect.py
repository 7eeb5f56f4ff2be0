"""An independent reader of media files: what is really in them, and whether the service would take it.

It goes by content, never by name or declared type, and shares no code with the side that makes the files.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from ..core import limits

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..core.limits import ClipBounds, ImageBounds

_EPSILON = 0.001
"""Seconds of play in a length: time bases do not hit a whole second exactly."""
_IMAGE_FORMATS = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "BMP": "bmp", "WEBP": "webp"}


class MediaRefused(ValueError):  # noqa: N818 - what it is called where it is caught
    """The file is outside the limits of the service; the text is what the task fails with."""


@dataclass(frozen=True)
class Facts:
    """What a file holds.

    width and height are pixels as shown (turned upright), seconds the length of the sound or of the video stream;
    what does not apply is None.
    """

    kind: str
    format: str
    size: int
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    fps: Fraction | None = None
    frames: int | None = None
    rotation: int = 0
    transparent: bool = False
    sample_rate: int | None = None
    channels: int | None = None


def inspect_media(source: bytes | str | Path, field: str) -> Facts:
    """Read a medium completely and hold it against the limits of `field`.

    Args:
        source: the bytes, or the path of a file.
        field: image_url, last_frame_url, first_clip_url or driving_audio_url.

    Raises:
        MediaRefused: not of an accepted kind, broken, or outside a limit.
    """
    size = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
    if field in ("image_url", "last_frame_url"):
        _check_bytes(field, size, limits.IMAGE.max_bytes)
        return _image(source, field, size)
    if field == "first_clip_url":
        _check_bytes(field, size, limits.CLIP.max_bytes)
        return _clip(source, field, size)
    if field == "driving_audio_url":
        _check_bytes(field, size, limits.AUDIO.max_bytes)
        return _audio(source, field, size)
    raise KeyError(f"{field} is no media field")


def sniff(head: bytes) -> str:
    """Name of the container that the first bytes of a file announce, "" where none of ours does."""
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if head[:4] == b"RIFF" and head[8:12] in (b"WAVE", b"WEBP"):
        return "wav" if head[8:12] == b"WAVE" else "webp"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mov" if head[4:8] != b"ftyp" or head[8:12] == b"qt  " else "mp4"
    if head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2):
        return "mp3"
    return {b"\xff\xd8": "jpeg", b"BM": "bmp"}.get(head[:2], "")


def open_image(source: bytes | str | Path) -> Image:
    """Open a picture of an accepted format without decoding it; OSError where it is none."""
    from PIL import Image as Pillow

    with warnings.catch_warnings():
        # pictures of up to 64 Mpx are legal here, and refused by their sides beyond
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
        stream = BytesIO(source) if isinstance(source, bytes) else Path(source)
        return Pillow.open(stream, formats=("JPEG", "PNG", "BMP", "WEBP"))


def _image(source: bytes | str | Path, field: str, size: int) -> Facts:
    from PIL import Image as Pillow

    try:
        picture = open_image(source)
    except Pillow.DecompressionBombError:
        raise MediaRefused(f"{field} has too many pixels: {_sides_rule(limits.IMAGE)}") from None
    except (OSError, ValueError, SyntaxError):
        raise MediaRefused(f"{field} is not a JPEG, PNG, BMP or WEBP image") from None
    with picture:
        width, height = picture.size
        _check_sides(field, width, height, limits.IMAGE)
        transparent = "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info
        if picture.format == "PNG" and transparent:
            raise MediaRefused(f"{field} is a PNG with transparency, which is not accepted")
        try:
            picture.load()
            turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        except (OSError, ValueError, SyntaxError) as error:
            raise MediaRefused(f"{field} cannot be decoded: {error}") from None
        kind = _IMAGE_FORMATS[picture.format or ""]
    width, height = (height, width) if turned else (width, height)
    return Facts("image", kind, size, width=width, height=height, transparent=transparent)


def _clip(source: bytes | str | Path, field: str, size: int) -> Facts:
    import av

    if sniff(_head(source)) not in ("mp4", "mov"):
        raise MediaRefused(f"{field} is not an mp4 or mov file")
    try:
        with av.open(_stream(source), format="mov") as container:
            if not container.streams.video:
                raise MediaRefused(f"{field} has no video stream")
            stream = container.streams.video[0]
            start: Fraction | None = None
            end, frames = Fraction(0), 0
            for packet in container.demux(stream):
                if packet.pts is None or packet.time_base is None:
                    continue
                frames += 1
                time = packet.pts * packet.time_base
                start = time if start is None else min(start, time)
                end = max(end, time + (packet.duration or 0) * packet.time_base)
            container.seek(0)
            first = next(container.decode(stream), None)
            if first is None or start is None:
                raise MediaRefused(f"{field} has no frame that can be decoded")
            rotation = int(getattr(first, "rotation", 0) or 0)
            width, height = (first.height, first.width) if rotation % 180 else (first.width, first.height)
            audio = container.streams.audio[0] if container.streams.audio else None
            fps, rate = stream.average_rate, audio.rate if audio else None
            channels = audio.channels if audio else None
    except (av.error.FFmpegError, OSError) as error:
        raise MediaRefused(f"{field} cannot be read as mp4 or mov: {error}") from None
    seconds = float(end - max(start, Fraction(0)))
    _check_sides(field, width, height, limits.CLIP)
    _check_seconds(field, seconds, limits.CLIP.min_seconds, limits.CLIP.max_seconds)
    return Facts(
        "video", sniff(_head(source)), size, width=width, height=height, seconds=seconds, fps=fps, frames=frames,
        rotation=rotation, sample_rate=rate, channels=channels,
    )  # fmt: skip


def _audio(source: bytes | str | Path, field: str, size: int) -> Facts:
    import av

    kind = sniff(_head(source))
    if kind not in ("wav", "mp3"):
        raise MediaRefused(f"{field} is not a wav or mp3 file")
    try:
        with av.open(_stream(source), format=kind) as container:
            if not container.streams.audio:
                raise MediaRefused(f"{field} has no sound")
            stream = container.streams.audio[0]
            samples = sum(frame.samples for frame in container.decode(stream))
            rate, channels = stream.rate, stream.channels
    except (av.error.FFmpegError, OSError) as error:
        raise MediaRefused(f"{field} cannot be decoded as {kind}: {error}") from None
    seconds = samples / rate if rate else 0.0
    _check_seconds(field, seconds, limits.AUDIO.min_seconds, limits.AUDIO.max_seconds)
    return Facts("audio", kind, size, seconds=seconds, sample_rate=rate, channels=channels)


def _check_bytes(field: str, size: int, limit: int) -> None:
    if size == 0:
        raise MediaRefused(f"{field} is empty")
    if size > limit:
        raise MediaRefused(f"{field} has {size} bytes, the limit is {limit}")


def _check_sides(field: str, width: int, height: int, bounds: ImageBounds | ClipBounds) -> None:
    if not all(bounds.min_side <= side <= bounds.max_side for side in (width, height)):
        raise MediaRefused(f"{field} is {width}x{height} pixels: {_sides_rule(bounds)}")
    if max(width, height) > bounds.max_aspect * min(width, height):
        raise MediaRefused(f"{field} is {width}x{height} pixels: the aspect must be 1:8 to 8:1")


def _sides_rule(bounds: ImageBounds | ClipBounds) -> str:
    return f"width and height must be in [{bounds.min_side}, {bounds.max_side}]"


def _check_seconds(field: str, seconds: float, low: float, high: float) -> None:
    if not low - _EPSILON <= seconds <= high + _EPSILON:
        raise MediaRefused(f"{field} is {seconds:.3f} s long: it must be {low:g} to {high:g} s")


def _head(source: bytes | str | Path) -> bytes:
    if isinstance(source, bytes):
        return source[:16]
    with Path(source).open("rb") as file:
        return file.read(16)


def _stream(source: bytes | str | Path) -> BytesIO | str:
    return BytesIO(source) if isinstance(source, bytes) else str(source)
