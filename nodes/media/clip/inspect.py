"""Inspection of a video file, as far as it decides whether the file can be sent as it is."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ..files import MediaError, Source
from ..video.container import is_mp4, rotation_of, size_of
from ..video.timeline import Timeline
from ..video.video_input import VideoInput, open_video
from .tags import tags_of

if TYPE_CHECKING:
    from av import AudioStream, VideoFrame, VideoStream
    from av.container import InputContainer

_CODECS = ("h264", "hevc")
"""The service names containers only. Every player reads these two codecs in them; other codecs are encoded again."""
_FOREIGN_BRANDS = ("3g", "m4a", "m4b", "f4v", "mjp2", "avif", "heic", "mif1")
"""Relatives of mp4 that call themselves something else."""
_MAX_FPS = 120
"""A file that claims more does not know its rate; 30 is used."""
_ONE_THREAD = ("SLICE", 1)
"""For one frame, others take longer to start."""


@dataclass(frozen=True)
class FileFacts:
    """What is known of a file without decoding more than its first frame.

    Attributes:
        size: upright, with square pixels.
        start, end: of the part to use, in seconds on the file's clock.
        shortest, longest: the lengths that readers may report for the file. Some go by the video, some also by the
            audio, some by the header.
        audio: sample rate and channels (1 or 2), or None.
        tags: names of the tags that must not be sent.
        reasons_to_encode: why the file cannot be sent as it is, limits aside.
    """

    source: Source
    timeline: Timeline
    extension: str
    byte_size: int
    size: tuple[int, int]
    rotation: int
    fps: Fraction
    start: Fraction
    end: Fraction
    shortest: Fraction
    longest: Fraction
    audio: tuple[int, int] | None
    tags: tuple[str, ...]
    reasons_to_encode: list[str]

    @property
    def seconds(self) -> Fraction:
        """Length of the part to use."""
        return self.end - self.start


def inspect_file(source: Source, trim: tuple[float, float]) -> FileFacts:
    """Inspect a file. trim: start and duration the VIDEO was cut to. Raises MediaError if it has no readable video."""
    reasons: list[str] = []
    with open_video(source, threads=_ONE_THREAD) as video:
        stream, container = video.video, video.container
        extension = _extension(container)
        if not extension:
            reasons.append(f"it is {container.format.long_name or container.format.name}, only mp4 and mov are taken")
        codec = _codec(stream)
        if codec not in _CODECS:
            reasons.append(f"its video is {codec}, only H.264 and HEVC are sure to be read")
        video.rate = fps = _plausible_fps(stream.average_rate or stream.guessed_rate)
        said = Fraction(container.duration or 0, 1_000_000)
        video_said = stream.duration * stream.time_base if stream.duration and stream.time_base else None
        audio, tags = _audio_format(video.audio), tags_of(container)
        first, start = _first_frame(video)
        size, rotation, square = _upright_size(first, stream)
        if not square:
            reasons.append("its pixels are not square")
        timeline = video.timeline
    end = timeline.end
    if trim != (0.0, 0.0):
        reasons.append("it is a part of its file")
        start, end = _trimmed(start, end, trim)
        said, video_said = end - start, None
    return FileFacts(
        source=source,
        timeline=timeline,
        extension=extension or "mp4",
        byte_size=size_of(source),
        size=size,
        rotation=rotation,
        fps=fps,
        start=start,
        end=end,
        shortest=min(video_said or end - start, end - start),
        longest=max(said, video_said or said, end - start),
        audio=audio,
        tags=tuple(tags),
        reasons_to_encode=reasons,
    )


def _plausible_fps(fps: Fraction | float | None) -> Fraction:
    rate = Fraction(fps or 0).limit_denominator(10_000)
    return rate if 0 < rate <= _MAX_FPS else Fraction(30)


def _trimmed(start: Fraction, end: Fraction, trim: tuple[float, float]) -> tuple[Fraction, Fraction]:
    first, duration = (Fraction(max(value, 0)).limit_denominator(1_000_000) for value in trim)
    if start + first >= end:
        raise MediaError(f"The video is cut to start at {trim[0]:g} s, after its end at {float(end - start):.3f} s.")
    return start + first, min(end, start + first + duration) if duration else end


def _codec(stream: VideoStream) -> str:
    """Return the codec, not the decoder that reads it (older PyAV knows only that)."""
    context = stream.codec_context
    return str(getattr(context.codec, "canonical_name", context.name))


def _audio_format(stream: AudioStream | None) -> tuple[int, int] | None:
    if stream is None or not stream.codec_context.channels:
        return None
    return int(stream.sample_rate), min(int(stream.codec_context.channels), 2)


def _extension(container: InputContainer) -> str:
    """Return "mp4", "mov", or "" for another container. FFmpeg reads the whole family with one demuxer."""
    brand = container.metadata.get("major_brand", "").strip().lower()
    if not is_mp4(container) or brand.startswith(_FOREIGN_BRANDS):
        return ""
    return "mov" if brand in ("qt", "") else "mp4"


def _first_frame(video: VideoInput) -> tuple[VideoFrame, Fraction]:
    for frame, time in video.read(audio=False):
        return frame, time or Fraction(0)
    raise MediaError(f"{video.name} holds no frame that can be decoded. It may be damaged.")


def _upright_size(frame: VideoFrame, stream: VideoStream) -> tuple[tuple[int, int], int, bool]:
    """Return the size as it is seen, the degrees to rotate by, and whether the pixels are square."""
    width, height = frame.width, frame.height
    aspect = stream.sample_aspect_ratio
    square = not aspect or aspect <= 0 or aspect == 1
    if aspect and not square:
        width = max(2, round(width * aspect))
    rotation = rotation_of(frame)
    return ((height, width) if rotation % 180 else (width, height)), rotation, square
