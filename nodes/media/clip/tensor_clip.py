"""The part of a batch of frames that is kept, as frames for the encoder."""

from __future__ import annotations

import math
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..audio.waveform import mix_down, parts, resample, to_float, without_clipping
from ..content_hash import ContentHash
from ..files import MediaError, sentences
from ..image.pixels import plane_of, to_rgb8
from ..video.frame_clock import played_rate
from ..video.rgb import StreamColors
from ..video.video_object import tensors_of

if TYPE_CHECKING:
    from av import VideoFrame
    from numpy.typing import NDArray

    from ..audio.waveform import Samples


class TensorClip:
    """The last `frames` of an IMAGE batch and their AUDIO, with the attributes of `FileClip`.

    Frames are repeated or left out if players may not take their rate.

    Args:
        gain: of the audio; None turns it down just enough that nothing is above full scale.
        hashed: False if `content` is not used. Hashing takes as long as making the frames.

    Raises MediaError for an empty or misshapen batch.
    """

    colors, damage = StreamColors(), ""

    def __init__(self, video: Any, *, gain: np.float32 | None = None, hashed: bool = True) -> None:
        images, self._audio, exact = tensors_of(video)
        given = exact.limit_denominator(10_000)
        if given <= 0:
            raise MediaError(
                f"The video's frame rate is {float(exact):g}; at least 0.0001 frames per second are needed."
            )
        self.fps, notes = played_rate(given)
        self.notes = sentences(notes)
        self._repeats = max(1, int(self.fps / given))
        step = max(1, int(given / self.fps))
        self._images = images[(len(images) - 1) % step :: step]  # with the last one
        self.frames = self._total = int(self._images.shape[0]) * self._repeats
        height, width = (int(n) for n in images.shape[1:3])
        self.size = width, height
        self.audio_format: tuple[int, int] | None = None
        if self._audio is not None:
            waveform, rate = parts(self._audio)
            if 0 not in waveform.shape:
                self.audio_format = rate, min(int(waveform.shape[1]), 2)
        self.cut_off = Fraction(0)
        self.content = ""
        self._gain = gain
        self._hash: ContentHash | None = None
        self._hashed = 0 if hashed else self._total  # frames so far
        self._samples: Samples | None = None

    def read(self, audio: tuple[int, int] | None) -> Generator[VideoFrame | Samples, None, None]:
        """Yield what `FileClip.read` yields. `content` is known afterwards.

        Frames that an earlier, abandoned call hashed are not hashed again.
        """
        first = self._total - self.frames
        if self._hash is None:
            self._hash = ContentHash("clip")
            self._hash.update_fields(self.fps, self.frames)
            self._samples = self._read_samples(first, audio, self._hash) if audio else None
        # Hashing takes as long as making the frame. In its own thread, one frame behind, it runs beside x264.
        with ThreadPoolExecutor(1) as hashing:
            pending = None
            for index in range(self.frames):
                frame, pixels = self._frame((first + index) // self._repeats)
                if pending is not None:
                    pending.result()
                if index == self._hashed:
                    pending = hashing.submit(self._hash.update_pixels, pixels)
                    self._hashed += 1
                yield frame
                if self._samples is not None and audio is not None:
                    start, end = (math.ceil((index + step) * audio[0] / self.fps) for step in (0, 1))
                    yield self._samples[:, start:end]
            if pending is not None:
                pending.result()
        self.content = self._hash.hexdigest()

    def loudest(self) -> float:
        """Return the absolute value of the loudest sample before any gain."""
        if self.audio_format is None:
            return 0.0
        waveform, _ = parts(self._audio)
        return float(np.abs(mix_down(to_float(waveform[0], name="The video's audio"))).max(initial=0.0))

    def _frame(self, index: int) -> tuple[VideoFrame, NDArray[np.uint8]]:
        """Return one frame, and a view of its pixels."""
        from av import VideoFrame as Frame

        width, height = self.size
        frame = Frame(width, height, "rgb24")
        pixels = plane_of(frame, 0, width, height, 3)
        to_rgb8(self._images[index], name=f"Frame {index + 1}", out=pixels)
        return frame, pixels

    def _read_samples(self, first: int, audio: tuple[int, int], content: ContentHash) -> Samples:
        waveform, rate = parts(self._audio)
        start, end = (int(frame * rate / self.fps) for frame in (first, first + self.frames))
        stop = math.ceil((first + self.frames) * rate / self.fps)
        kept = to_float(waveform[0, :, start:stop], name="The video's audio")
        content.update_samples(kept[:, : end - start], rate)  # without the sample that the last frame ends in
        samples = mix_down(kept)
        samples = without_clipping(samples)[0] if self._gain is None else samples * self._gain
        return samples if rate == audio[0] or samples.shape[1] == 0 else resample(samples, rate, audio[0])
