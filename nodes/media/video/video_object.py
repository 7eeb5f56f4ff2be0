"""The file behind a ComfyUI VIDEO."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from ..files import MediaError
from .container import name_of, opened, video_stream


def file_of(video: Any) -> Path | BytesIO | None:
    """Return the file behind a VIDEO; None if there is none, or if it does not show what the VIDEO shows.

    A VIDEO made from tensors has ComfyUI encode a file when asked for one. Its tensors are the better source.
    """
    if callable(pending := getattr(video, "has_pending_frame_edits", None)) and pending():
        return None
    if getattr(video, "_VideoFromFile__crop", None) is not None:  # versions of ComfyUI that crop and do not say so
        return None
    if any(base.__name__ == "VideoFromComponents" for base in type(video).__mro__):
        return None
    get_source = getattr(type(video), "get_stream_source", None)
    if get_source is None or getattr(get_source, "__qualname__", "").startswith("VideoInput."):
        return None
    source = video.get_stream_source()
    if isinstance(source, BytesIO):
        return BytesIO(source.getvalue())  # with its own position: other nodes read the same buffer
    return Path(source) if isinstance(source, (str, Path)) else None


def trim_window(video: Any) -> tuple[float, float]:
    """Return start and duration in seconds of the part of its file that a VIDEO shows; duration 0 is to the end."""
    if callable(window := getattr(video, "get_active_trim_window", None)):
        start, duration = window()
        return float(start or 0), float(duration or 0)
    # Versions of ComfyUI before that keep it private.
    start = getattr(video, "_VideoFromFile__start_time", 0) or 0
    duration = getattr(video, "_VideoFromFile__duration", 0) or 0
    if start < 0:  # counted from the end, as Video Slice does
        start = max(_length_of(video) + start, 0)
    return float(start), float(duration)


def _length_of(video: Any) -> float:
    """Return the seconds of the whole file behind a VIDEO, as ComfyUI counts them. Raises MediaError if unknown."""
    source = file_of(video)
    if source is not None:
        with opened(source) as container:
            if container.duration:
                return container.duration / 1_000_000
            stream = video_stream(container, name_of(source))
            if stream.frames and stream.average_rate:
                return float(stream.frames / stream.average_rate)
    raise MediaError(
        "The video is cut to start at a time before its end, and its file does not say how long it is. Cut it with a "
        "start_time of 0 or more, or save it as mp4 first."
    )
