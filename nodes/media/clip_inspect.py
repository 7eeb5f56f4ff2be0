"""What a video file is, as far as it decides whether it can be sent as it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING

from .clip_file import open_file, span_of
from .clip_source import FileSource, plausible_fps
from .file import MediaError

if TYPE_CHECKING:
    from av import VideoStream
    from av.container import InputContainer

_CODECS = ("h264", "hevc")
"""The service names containers only. These two are what every player reads in them; the rest is encoded again."""
_FOREIGN_BRANDS = ("3g", "m4a", "m4b", "f4v", "mjp2", "avif", "heic", "mif1")
"""Relatives of mp4 that call themselves something else."""


@dataclass(frozen=True)
class FileFacts:
    """size: upright, with square pixels. start, end: of the kept part, in seconds of the file's clock. longest: the
    longest that any reader can take the file for. reasons_to_encode: why it cannot be sent as it is, limits aside."""

    source: FileSource
    extension: str
    byte_size: int
    size: tuple[int, int]
    rotation: int
    fps: Fraction
    start: Fraction
    end: Fraction
    longest: Fraction
    sound: tuple[int, int] | None
    reasons_to_encode: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> Fraction:
        return self.end - self.start


def inspect_file(source: FileSource, trim: tuple[float, float]) -> FileFacts:
    """Look at a file without decoding more than its first frame. trim: start and duration that a VIDEO was cut to.

    Raises MediaError where it cannot be read or has no video stream.
    """
    reasons: list[str] = []
    with open_file(source) as container:
        stream = _video_stream(container)
        extension = _extension(container)
        if not extension:
            reasons.append(f"it is {container.format.long_name or container.format.name}, only mp4 and mov are taken")
        codec = stream.codec_context.name
        if codec not in _CODECS:
            reasons.append(f"its video is {codec}, only H.264 and HEVC are sure to be read")
        size, rotation, squeezed = _upright_size(container, stream)
        if squeezed:
            reasons.append("its pixels are not square")
        fps = plausible_fps(stream.average_rate or stream.guessed_rate)
        longest = Fraction(container.duration or 0, 1_000_000)
        sound = None
        if container.streams.audio:
            context = container.streams.audio[0].codec_context
            if context.sample_rate and context.channels:
                sound = (int(context.sample_rate), min(int(context.channels), 2))
    start, end = span_of(source, fps)
    if trim != (0.0, 0.0):
        reasons.append("it is a part of its file")
        start = start + Fraction(max(trim[0], 0)).limit_denominator(1_000_000)
        end = min(end, start + Fraction(trim[1]).limit_denominator(1_000_000)) if trim[1] else end
        if end <= start:
            raise MediaError(f"The video is cut to start at {trim[0]:g} s, after its end.")
        longest = end - start
    return FileFacts(
        source,
        extension or "mp4",
        len(source.getbuffer()) if isinstance(source, BytesIO) else source.stat().st_size,
        size,
        rotation,
        fps,
        start,
        end,
        max(longest, end - start),
        sound,
        reasons,
    )


def _video_stream(container: InputContainer) -> VideoStream:
    if not container.streams.video:
        raise MediaError("The video has no video stream in it, only sound or nothing at all. Choose another file.")
    return container.streams.video[0]


def _extension(container: InputContainer) -> str:
    """ "mp4", "mov", or "" for another container. FFmpeg reads the whole family with one demuxer."""
    if "mp4" not in container.format.name.split(","):
        return ""
    brand = container.metadata.get("major_brand", "").strip().lower()
    if brand.startswith(_FOREIGN_BRANDS):
        return ""
    return "mov" if brand in ("qt", "") else "mp4"


def _upright_size(container: InputContainer, stream: VideoStream) -> tuple[tuple[int, int], int, bool]:
    """Size as it is seen, degrees to turn by, and whether the pixels are not square. Decodes one frame for it."""
    import av

    try:
        frame = next(container.decode(stream))
    except (StopIteration, av.error.FFmpegError) as error:
        raise MediaError("The video holds no frame that can be decoded.") from error
    aspect = stream.sample_aspect_ratio
    width, height = frame.width, frame.height
    squeezed = bool(aspect and aspect > 0 and aspect != 1)
    if squeezed and aspect:
        width = max(2, round(width * aspect))
    rotation = int(frame.rotation) % 360 // 90 * 90
    return ((height, width) if rotation % 180 else (width, height)), rotation, squeezed
