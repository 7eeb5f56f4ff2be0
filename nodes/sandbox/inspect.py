"""An independent reader of media files: what they contain, and whether the service would accept them.

It looks at the content, never at the name or the declared type, and shares no code with the packages that write files.
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
_IMAGE_FORMATS = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "BMP": "bmp", "WEBP": "webp"}


class InvalidMediaError(ValueError):
    """The file is outside the limits of the service. The task fails with this text."""


@dataclass(frozen=True)
class Facts:
    """What a file contains.

    width and height are pixels after rotation, seconds is the length of the audio or video stream. Values that do not
    apply are None.
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
    """Read a whole media file and check it against the limits of `field`.

    Args:
        source: the bytes, or the path of a file.
        field: image_url, last_frame_url, first_clip_url or driving_audio_url.

    Raises:
        InvalidMediaError: not of an accepted format, broken, or outside a limit.
    """
    size = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
    _check_bytes(field, size, BOUNDS[field].max_bytes)
    if field == "first_clip_url":
        return _clip(source, field, size)
    return _audio(source, field, size) if field == "driving_audio_url" else _image(source, field, size)


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


def open_image(source: bytes | str | Path) -> Image:
    """Open an image of an accepted format without decoding it; raise OSError for anything else."""
    from PIL import Image as Pillow

    with warnings.catch_warnings():
        # images of up to 64 Mpx are legal; larger ones are refused by their sides
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
        stream = BytesIO(source) if isinstance(source, bytes) else Path(source)
        return Pillow.open(stream, formats=("JPEG", "PNG", "BMP", "WEBP"))


def _image(source: bytes | str | Path, field: str, size: int) -> Facts:
    from PIL import Image as Pillow

    try:
        image = open_image(source)
    except Pillow.DecompressionBombError:
        raise InvalidMediaError(f"{field} has too many pixels: {_sides_rule(limits.IMAGE)}") from None
    except (OSError, ValueError, SyntaxError):
        raise InvalidMediaError(f"{field} is not a JPEG, PNG, BMP or WEBP image") from None
    with image:
        width, height = image.size
        _check_sides(field, width, height, limits.IMAGE)
        transparent = "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info
        if image.format == "PNG" and transparent:
            raise InvalidMediaError(f"{field} is a PNG with transparency, which is not accepted")
        try:
            image.load()
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        except (OSError, ValueError, SyntaxError) as error:
            raise InvalidMediaError(f"{field} cannot be decoded: {error}") from None
        kind = _IMAGE_FORMATS[image.format or ""]
    width, height = (height, width) if turned else (width, height)
    return Facts("image", kind, size, width=width, height=height, transparent=transparent)


def _clip(source: bytes | str | Path, field: str, size: int) -> Facts:
    import av

    if sniff(_head(source)) not in ("mp4", "mov"):
        raise InvalidMediaError(f"{field} is not an mp4 or mov file")
    try:
        with av.open(_stream(source), format="mov") as container:
            if not container.streams.video:
                raise InvalidMediaError(f"{field} has no video stream")
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
                raise InvalidMediaError(f"{field} has no frame that can be decoded")
            rotation = int(getattr(first, "rotation", 0) or 0)
            width, height = (first.height, first.width) if rotation % 180 else (first.width, first.height)
            audio = container.streams.audio[0] if container.streams.audio else None
            fps, rate = stream.average_rate, audio.rate if audio else None
            channels = audio.channels if audio else None
    except (av.error.FFmpegError, OSError) as error:
        raise InvalidMediaError(f"{field} cannot be read as mp4 or mov: {error}") from None
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
        raise InvalidMediaError(f"{field} is not a wav or mp3 file")
    try:
        with av.open(_stream(source), format=kind) as container:
            if not container.streams.audio:
                raise InvalidMediaError(f"{field} has no audio stream")
            stream = container.streams.audio[0]
            samples = sum(frame.samples for frame in container.decode(stream))
            rate, channels = stream.rate, stream.channels
    except (av.error.FFmpegError, OSError) as error:
        raise InvalidMediaError(f"{field} cannot be decoded as {kind}: {error}") from None
    seconds = samples / rate if rate else 0.0
    _check_seconds(field, seconds, limits.AUDIO.min_seconds, limits.AUDIO.max_seconds)
    return Facts("audio", kind, size, seconds=seconds, sample_rate=rate, channels=channels)


def _check_bytes(field: str, size: int, limit: int) -> None:
    if size == 0:
        raise InvalidMediaError(f"{field} is empty")
    if size > limit:
        raise InvalidMediaError(f"{field} has {size} bytes, the limit is {limit}")


def _check_sides(field: str, width: int, height: int, bounds: ImageBounds | ClipBounds) -> None:
    if not all(bounds.min_side <= side <= bounds.max_side for side in (width, height)):
        raise InvalidMediaError(f"{field} is {width}x{height} pixels: {_sides_rule(bounds)}")
    if max(width, height) > bounds.max_aspect * min(width, height):
        raise InvalidMediaError(f"{field} is {width}x{height} pixels: the aspect must be 1:8 to 8:1")


def _sides_rule(bounds: ImageBounds | ClipBounds) -> str:
    return f"width and height must be in [{bounds.min_side}, {bounds.max_side}]"


def _check_seconds(field: str, seconds: float, low: float, high: float) -> None:
    if not low - _EPSILON <= seconds <= high + _EPSILON:
        raise InvalidMediaError(f"{field} is {seconds:.3f} s long: it must be {low:g} to {high:g} s")


def _head(source: bytes | str | Path) -> bytes:
    if isinstance(source, bytes):
        return source[:16]
    with Path(source).open("rb") as file:
        return file.read(16)


def _stream(source: bytes | str | Path) -> BytesIO | str:
    return BytesIO(source) if isinstance(source, bytes) else str(source)
