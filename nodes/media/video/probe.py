"""What a video file says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from .container import Source, name_of, opened, video_stream

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream


@dataclass(frozen=True)
class Probe:
    """Claims of a file's header: good enough for a message, not for allocating memory.

    Attributes:
        width, height: of the coded frames, before any rotation.
        fps: see `frame_rate`.
        seconds: 0.0 if unknown.
    """

    width: int
    height: int
    fps: Fraction
    seconds: float


def probe(source: Source) -> Probe:
    """Read the header of a video file. Raises MediaError if it cannot be opened or has no video stream."""
    with opened(source) as container:
        video = video_stream(container, name_of(source))
        fps, seconds = frame_rate(video), 0.0
        if video.duration and video.time_base:
            seconds = float(video.duration * video.time_base)
        elif container.duration:
            seconds = container.duration / 1_000_000
        elif video.frames:
            seconds = float(video.frames / fps)
        return Probe(video.codec_context.width, video.codec_context.height, fps, seconds)


def frame_rate(stream: VideoStream) -> Fraction:
    """Return the average rate as ComfyUI core takes it, else the best guess; 1 if nothing is known."""
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    return Fraction(rate) if rate and rate > 0 else Fraction(1)


def rotation_of(frame: VideoFrame) -> int:
    """Return the degrees counterclockwise that turn the frame upright: 0, 90, 180 or 270. Other angles count as 0."""
    angle = int(getattr(frame, "rotation", 0) or 0)
    return angle % 360 if angle % 90 == 0 else 0
