"""What a video file says about itself, without decoding more than one frame."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from .container import Source, audio_stream, name_of, opened, video_stream

if TYPE_CHECKING:
    from av import AudioStream, VideoFrame, VideoStream
    from av.container import InputContainer


@dataclass(frozen=True)
class AudioInfo:
    """The first audio stream. `seconds` is None where the file does not say."""

    codec: str
    sample_rate: int
    channels: int
    seconds: float | None


@dataclass(frozen=True)
class Probe:
    """Claims of a file's header: good for a message or a plan, not for allocating memory.

    width, height: pixels of the coded picture, before `rotation` (degrees counter-clockwise to turn it upright: 0, 90,
    180 or 270). frames: None where the file does not say. fps: the average rate, 1 where unknown as in ComfyUI core.
    seconds: 0.0 where unknown.
    """

    width: int
    height: int
    rotation: int
    frames: int | None
    fps: Fraction
    seconds: float
    video_codec: str
    audio: AudioInfo | None
    container: str
    pixel_format: str | None

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height as they are shown, `rotation` applied."""
        return (self.height, self.width) if self.rotation in (90, 270) else (self.width, self.height)


def probe(source: Source) -> Probe:
    """Read the header of a video file, and its first frame for the rotation.

    Raises MediaError when the file cannot be opened or has no video stream.
    """
    with opened(source) as container:
        video = video_stream(container, name_of(source))
        audio = audio_stream(container)
        return Probe(
            width=video.codec_context.width,
            height=video.codec_context.height,
            rotation=_first_rotation(container, video),
            frames=video.frames or None,
            fps=frame_rate(video),
            seconds=_seconds(container, video),
            video_codec=video.codec_context.name,
            audio=None if audio is None else _audio_info(audio),
            container=container.format.name,
            pixel_format=video.codec_context.pix_fmt,
        )


def frame_rate(stream: VideoStream) -> Fraction:
    """The average rate as ComfyUI core takes it, else the best guess; 1 where nothing is known."""
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    return Fraction(rate) if rate and rate > 0 else Fraction(1)


def rotation_of(frame: VideoFrame) -> int:
    """Degrees counter-clockwise that turn the frame upright: 0, 90, 180 or 270; other angles are left alone."""
    angle = int(getattr(frame, "rotation", 0) or 0)
    return angle % 360 if angle % 90 == 0 else 0


def _first_rotation(container: InputContainer, stream: VideoStream) -> int:
    import av

    try:
        return next((rotation_of(frame) for frame in container.decode(stream)), 0)
    except (av.FFmpegError, IndexError, ValueError):
        return 0


def _seconds(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration:
        return container.duration / 1_000_000
    return float(stream.frames / frame_rate(stream)) if stream.frames else 0.0


def _audio_info(stream: AudioStream) -> AudioInfo:
    seconds = None
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
    return AudioInfo(
        codec=stream.codec_context.name,
        sample_rate=int(stream.sample_rate),
        channels=int(stream.codec_context.channels),
        seconds=seconds,
    )
