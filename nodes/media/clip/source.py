"""Where the frames and samples of a clip come from: a file of any kind, or tensors."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..audio.waveform import mix_down, parts, resample, to_float, without_clipping
from ..content_hash import ContentHash
from ..files import MediaError
from ..image.pixels import to_rgb8
from ..video.container import name_of, opened, video_stream
from .shape import plane_of

if TYPE_CHECKING:
    from av import VideoFrame
    from numpy.typing import NDArray

    from ..audio.waveform import Samples

FileSource = Path | BytesIO
_MAX_FPS = 120
"""What claims more is a file whose rate is not known; 30 is taken."""


class ClipSource(Protocol):
    """Frames and samples of the part of a clip that is kept, in the order they are needed.

    Attributes:
        size: upright, square pixels.
        fps, frames: of the clip to be made.
        audio_format: sample rate and channels (1 or 2), or None.
        cut_off: seconds before the clip that are left out.
        content: see `content_hash`.
        damage: what could not be read, one sentence, "" for nothing. Like `content`, known when `read` has finished.
    """

    size: tuple[int, int]
    rotation: int
    fps: Fraction
    frames: int
    audio_format: tuple[int, int] | None
    cut_off: Fraction
    content: str
    damage: str

    def read(self, sound: tuple[int, int] | None) -> Generator[VideoFrame | Samples, None, None]:
        """Exactly `frames` frames, and samples in the form asked for, not longer than the frames."""


def file_of(video: Any) -> FileSource | None:
    """The file behind a VIDEO, or None where there is none, or none that shows what the VIDEO shows.

    A VIDEO made from tensors has ComfyUI encode a file when it is asked for one; its tensors are the better source.
    """
    if callable(pending := getattr(video, "has_pending_frame_edits", None)) and pending():
        return None
    if getattr(video, "_VideoFromFile__crop", None) is not None:  # cores that crop and do not say so
        return None
    if any(base.__name__ == "VideoFromComponents" for base in type(video).__mro__):
        return None
    get_source = getattr(type(video), "get_stream_source", None)
    if get_source is None or getattr(get_source, "__qualname__", "").startswith("VideoInput."):
        return None
    source = video.get_stream_source()
    if isinstance(source, BytesIO):
        return BytesIO(source.getvalue())  # its own position: other nodes read the same buffer
    return Path(source) if isinstance(source, (str, Path)) else None


def trim_window(video: Any) -> tuple[float, float]:
    """Start and duration in seconds of the part of its file that a VIDEO shows; duration 0 is to the end."""
    if callable(window := getattr(video, "get_active_trim_window", None)):
        start, duration = window()
        return float(start or 0), float(duration or 0)
    # Cores between the two keep it to themselves.
    start = getattr(video, "_VideoFromFile__start_time", 0) or 0
    duration = getattr(video, "_VideoFromFile__duration", 0) or 0
    if start < 0:  # counted from the end, as Video Slice takes it
        start = max(_length_of(video) + start, 0)
    return float(start), float(duration)


def _length_of(video: Any) -> float:
    """Seconds of the whole file behind a VIDEO, as the core counts them. Raises MediaError where it does not say."""
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


def plausible_fps(fps: Fraction | float | None) -> Fraction:
    """A frame rate to encode with."""
    rate = Fraction(fps or 0).limit_denominator(10_000)
    return rate if 0 < rate <= _MAX_FPS else Fraction(30)


@dataclass
class TensorClip:
    """The last `frames` of an IMAGE batch, and the AUDIO that goes with them."""

    images: Any
    audio: Any
    fps: Fraction
    frames: int
    rotation: int = 0
    cut_off: Fraction = Fraction(0)
    content: str = ""
    damage: str = ""
    _hash: ContentHash | None = field(default=None, init=False)
    _hashed: int = field(default=0, init=False)
    _samples: Samples | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.size = (int(self.images.shape[2]), int(self.images.shape[1]))
        self.audio_format: tuple[int, int] | None = None
        if self.audio is not None:
            waveform, rate = parts(self.audio)
            if 0 not in waveform.shape:
                self.audio_format = (rate, min(int(waveform.shape[1]), 2))

    @classmethod
    def of(cls, video: Any) -> TensorClip:
        """All of the tensors of a VIDEO. Raises MediaError for an empty or misshapen batch."""
        components = video.get_components()
        images = components.images
        if images is None or images.dim() != 4:
            raise MediaError("The video has no frames of the shape batch × height × width × channels.")
        if 0 in images.shape:
            raise MediaError("The video holds no frames. Look at the node that made it.")
        fps = Fraction(components.frame_rate).limit_denominator(10_000)
        if fps <= 0:
            raise MediaError(f"The video's frame rate is {components.frame_rate}; more than 0 is needed.")
        return cls(images, components.audio, fps, int(images.shape[0]))

    def read(self, sound: tuple[int, int] | None) -> Generator[VideoFrame | Samples, None, None]:
        """See `ClipSource`. Frames that an earlier, abandoned call has hashed are not hashed again."""
        first = int(self.images.shape[0]) - self.frames
        if self._hash is None:
            self._hash = ContentHash("clip")
            self._hash.update_fields(self.fps, self.frames)
            self._samples = self._read_samples(first, sound, self._hash) if sound else None
        # Hashing takes as long as making the frame; in a thread of its own, one frame behind, it hides behind x264.
        with ThreadPoolExecutor(1) as hashing:
            pending = None
            for index in range(self.frames):
                frame, pixels = self._frame(first + index)
                if pending is not None:
                    pending.result()
                if index == self._hashed:
                    pending = hashing.submit(self._hash.update_pixels, pixels)
                    self._hashed += 1
                yield frame
                if self._samples is not None and sound is not None:
                    start, end = (int((index + step) * sound[0] / self.fps) for step in (0, 1))
                    yield self._samples[:, start:end]
            if pending is not None:
                pending.result()
        self.content = self._hash.hexdigest()

    def _frame(self, index: int) -> tuple[VideoFrame, NDArray[np.uint8]]:
        """One frame, and a view on its pixels."""
        from av import VideoFrame as Frame

        width, height = self.size
        frame = Frame(width, height, "rgb24")
        pixels = plane_of(frame, 0, width, height, 3)
        to_rgb8(self.images[index], name=f"Frame {index + 1}", out=pixels)
        return frame, pixels

    def _read_samples(self, first: int, sound: tuple[int, int], content: ContentHash) -> Samples:
        waveform, rate = parts(self.audio)
        start, end = (int(frame * rate / self.fps) for frame in (first, first + self.frames))
        kept = to_float(waveform[0, :, start:end], name="The video's sound")
        content.update_samples(kept, rate)
        samples, _ = without_clipping(mix_down(kept))
        return samples if rate == sound[0] or samples.shape[1] == 0 else resample(samples, rate, sound[0])
