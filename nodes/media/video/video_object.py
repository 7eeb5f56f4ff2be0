"""What is behind a ComfyUI VIDEO: a file, tensors, or an object of another pack that can only save itself."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...core.temporary import temporary_folder
from ..files import MediaError, check_readable
from .container import opened, video_stream

if TYPE_CHECKING:
    from torch import Tensor


class VideoTensors(NamedTuple):
    """A VIDEO in memory: frames [N,H,W,C], N at least 1; an AUDIO or None; frames per second, above 0."""

    images: Tensor
    audio: Any
    rate: Fraction


def file_of(video: Any) -> Path | BytesIO | None:
    """Return the file behind a VIDEO; None if there is none, or if it does not show what the VIDEO shows.

    A VIDEO made from tensors has ComfyUI encode a file when asked for one. Its tensors are the better source. An object
    that can only save itself does so. Raises MediaError for None and for what is not a VIDEO.
    """
    if video is None:
        raise MediaError("video is None: the node linked to it delivered no video. Look at that node.")
    if callable(pending := getattr(video, "has_pending_frame_edits", None)) and pending():
        return None
    if getattr(video, "_VideoFromFile__crop", None) is not None:  # versions of ComfyUI that crop and do not say so
        return None
    if any(base.__name__ == "VideoFromComponents" for base in type(video).__mro__):
        return None
    get_source = getattr(type(video), "get_stream_source", None)
    if get_source is None or getattr(get_source, "__qualname__", "").startswith("VideoInput."):
        return None if callable(getattr(video, "get_components", None)) else _saved(video)
    source = video.get_stream_source()
    if isinstance(source, BytesIO):
        return BytesIO(source.getvalue())  # with its own position: other nodes read the same buffer
    return Path(source) if isinstance(source, (str, Path)) else None


def tensors_of(video: Any) -> VideoTensors:
    """Return the tensors of a VIDEO without a file. Raises MediaError for what they should not be."""
    import torch

    components = video.get_components()
    images: Any = getattr(components, "images", None)
    rate: Any = getattr(components, "frame_rate", None)
    if not isinstance(images, torch.Tensor) or images.dim() != 4:
        raise MediaError("The video has no frames of the shape batch × height × width × channels.")
    if 0 in images.shape:
        raise MediaError("The video holds no frames. Look at the node that made it.")
    check_readable(images, name="The video")
    try:
        fps = rate if isinstance(rate, Fraction) else Fraction(float(rate))
    except (TypeError, ValueError, OverflowError):
        fps = Fraction(0)
    if fps <= 0:
        raise MediaError(f"The video's frame rate is {rate!r}; frames per second, above 0, are needed.")
    return VideoTensors(images, getattr(components, "audio", None), fps)


def _saved(video: Any) -> BytesIO:
    """Return the file that a VIDEO of another pack saves. Raises MediaError if it cannot."""
    if not callable(save := getattr(video, "save_to", None)):
        raise MediaError(f"video is a {type(video).__name__}, not a VIDEO. Link a node that outputs a video.")
    with temporary_folder() as folder:
        path = folder / "video.mp4"
        save(str(path))
        if not path.is_file():
            raise MediaError(f"The video, a {type(video).__name__}, did not save itself. Save it as mp4 and load that.")
        return BytesIO(path.read_bytes())


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
            stream = video_stream(container, source)
            if stream.frames and stream.average_rate:
                return float(stream.frames / stream.average_rate)
    raise MediaError(
        "The video is cut to start at a time before its end, and its file does not say how long it is. Cut it with a "
        "start_time of 0 or more, or save it as mp4 first."
    )
