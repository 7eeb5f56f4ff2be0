"""Inspection of a video file, as far as it decides whether the file can be sent as it is."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ..files import Cancelled, MediaError, Source, sentences
from ..video.container import codec_of, is_mp4, size_of
from ..video.frame_clock import FrameClock
from ..video.geometry import Orientation, orientation_of, square_size
from ..video.rgb import StreamColors
from ..video.unreadable import no_frame
from ..video.video_input import VideoInput, open_video
from .tags import tags_of

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

_CODECS = ("h264", "hevc")
"""The service names containers only. Every player reads these two codecs in them; other codecs are encoded again."""
_FOREIGN_BRANDS = ("3g", "m4a", "m4b", "f4v", "mjp2", "avif", "heic", "mif1")
"""Relatives of mp4 that call themselves something else."""
_ONE_THREAD = ("SLICE", 1)
"""For one frame, others take longer to start."""


@dataclass(frozen=True)
class FileFacts:
    """What is known of a file without decoding more than its first frame.

    Attributes:
        clock: the constant rate of an encoded clip, and when the file's frames are shown.
        size: upright, with square pixels.
        start, end: of the part to use, in seconds of the file.
        shortest, longest: the lengths that readers may report for the file. Some go by the video, some also by the
            audio, some by the header.
        audio: sample rate and channels (1 or 2), or None.
        tags: names of the tags that must not be sent.
        reasons_to_encode: why the file cannot be sent as it is, limits aside.
        notes: one sentence for each difference that an encoded clip has.
    """

    source: Source
    clock: FrameClock
    extension: str
    byte_size: int
    size: tuple[int, int]
    orientation: Orientation
    colors: StreamColors
    start: Fraction
    end: Fraction
    shortest: Fraction
    longest: Fraction
    audio: tuple[int, int] | None
    tags: tuple[str, ...]
    reasons_to_encode: list[str]
    notes: tuple[str, ...]

    @property
    def fps(self) -> Fraction:
        """Frame rate of an encoded clip. Containers have no place for the long fractions that some files have."""
        return self.clock.rate.limit_denominator(10_000)

    @property
    def seconds(self) -> Fraction:
        """Length of the part to use."""
        return self.end - self.start


def inspect_file(source: Source, trim: tuple[float, float], cancelled: Cancelled | None = None) -> FileFacts:
    """Inspect a file.

    Args:
        trim: start and duration the VIDEO was cut to.

    Raises:
        MediaError: it has no readable video.
        MediaCancelled: `cancelled` said so.
    """
    reasons: list[str] = []
    with open_video(source, threads=_ONE_THREAD, cancelled=cancelled) as video:
        stream, container = video.video, video.container
        extension = _extension(container)
        if not extension:
            reasons.append(f"it is {container.format.long_name or container.format.name}, only mp4 and mov are taken")
        codec = codec_of(stream)
        if codec not in _CODECS:
            reasons.append(f"its video is {codec}, only H.264 and HEVC are sure to be read")
        said = Fraction(container.duration or 0, 1_000_000)
        # Only mp4 and mov are read by the service.
        video_said = stream.duration * stream.time_base if extension and stream.duration and stream.time_base else None
        tags = tags_of(container)
        first, start = _first_frame(video)
        stored = square_size(first.width, first.height, stream)
        if stored != (first.width, first.height):
            reasons.append("its pixels are not square")
        orientation, colors = orientation_of(first), StreamColors.of(stream)
        clock, audio = video.clock.played(), _audio_format(video)
        notes = (*clock.notes, *video.audio_notes(whole=trim[0] <= 0))
        cut_off = video.cut_off_notes()
    end = clock.timeline.end
    if trim != (0.0, 0.0):
        reasons.append("it is a part of its file")
        start, end = _trimmed(start, end, trim)
        said, video_said = end - start, None
    if end == clock.timeline.end:
        notes = (*notes, *cut_off)
    return FileFacts(
        source=source,
        clock=clock,
        extension=extension or "mp4",
        byte_size=size_of(source),
        size=orientation.size(*stored),
        orientation=orientation,
        colors=colors,
        start=start,
        end=end,
        shortest=min(video_said or end - start, end - start),
        longest=max(said, video_said or said, end - start),
        audio=audio,
        tags=tuple(tags),
        reasons_to_encode=reasons,
        notes=sentences(notes),
    )


def _trimmed(start: Fraction, end: Fraction, trim: tuple[float, float]) -> tuple[Fraction, Fraction]:
    first, duration = (Fraction(max(value, 0)).limit_denominator(1_000_000) for value in trim)
    if start + first >= end:
        raise MediaError(f"The video is cut to start at {trim[0]:g} s, after its end at {float(end - start):.3f} s.")
    return start + first, min(end, start + first + duration) if duration else end


def _audio_format(video: VideoInput) -> tuple[int, int] | None:
    """Return sample rate and channels of the audio. If the header does not say them, its first frame does."""
    stream = video.audio
    if stream is None:
        return None
    if stream.sample_rate and stream.codec_context.channels:
        return int(stream.sample_rate), min(int(stream.codec_context.channels), 2)
    for frame, _ in video.read(video=False):
        return int(frame.sample_rate), min(len(frame.layout.channels), 2)
    return None


def _extension(container: InputContainer) -> str:
    """Return "mp4", "mov", or "" for another container. FFmpeg reads the whole family with one demuxer."""
    brand = container.metadata.get("major_brand", "").strip().lower()
    if not is_mp4(container) or brand.startswith(_FOREIGN_BRANDS):
        return ""
    return "mov" if brand in ("qt", "") else "mp4"


def _first_frame(video: VideoInput) -> tuple[VideoFrame, Fraction]:
    for frame, time in video.read(audio=False):
        return frame, time or Fraction(0)
    raise no_frame(video.source, "holds no frame that can be decoded. It may be damaged.")
