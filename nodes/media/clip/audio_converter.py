"""Decoded audio at one sample rate, with one or two channels."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..audio.waveform import mix_down, samples_of, with_channels
from ..video.timeline import AudioClock

if TYPE_CHECKING:
    from av import AudioFrame, AudioResampler

    from ..audio.waveform import Samples


class AudioConverter:
    """Converter of audio frames to one form, from the start of the clip: gaps become silence, the rest is cut off.

    More than two channels are mixed down as those of tensors are. FFmpeg would mix them louder.

    Args:
        form: sample rate and channels (1 or 2) of the result.
        start: of the clip, on the file's clock.
        length: of the clip, in samples.
    """

    def __init__(self, form: tuple[int, int], start: Fraction, length: int) -> None:
        self._rate, self._channels = form
        self._length = length
        self._clock = AudioClock(start, start + Fraction(length, self._rate))
        self._kind: tuple[object, ...] = ()
        self._resampler: AudioResampler | None = None
        self.loudest = 0.0  # absolute value of the loudest sample so far

    @property
    def full(self) -> bool:
        """Whether nothing more can come."""
        return self._clock.done or (self._clock.next or 0) >= self._length

    def add(self, frame: AudioFrame) -> Iterator[Samples]:
        """Yield the samples that the next frame completes."""
        from av import AudioResampler

        first = self._clock.place(frame, self._rate)
        if first is None:
            return
        if self._clock.next is None:
            self._clock.next = min(first, 0)  # what begins late is late from the first sample on
        yield from self._kept(np.zeros((self._channels, max(0, first - self._clock.next)), np.float32))
        frame.pts = None
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:  # broadcasts change it on the way, and a resampler takes one kind only
            yield from self.finish()
            self._kind, self._resampler = kind, AudioResampler(format="fltp", rate=self._rate)
        yield from self._resampled(frame)

    def finish(self) -> Iterator[Samples]:
        """Yield what the resampler holds back."""
        if self._resampler is not None:
            yield from self._resampled(None)
            self._resampler = None

    def _resampled(self, frame: AudioFrame | None) -> Iterator[Samples]:
        assert self._resampler is not None
        for part in self._resampler.resample(frame):
            samples = mix_down(np.asarray(samples_of(part), np.float32))
            yield from self._kept(with_channels(samples, self._channels))

    def _kept(self, samples: Samples) -> Iterator[Samples]:
        """Yield the part of the next samples that is inside the clip."""
        position = self._clock.next or 0
        self._clock.next = position + samples.shape[1]
        kept = samples[:, max(0, -position) : max(0, self._length - position)]
        if kept.shape[1]:
            self.loudest = max(self.loudest, float(np.abs(kept).max()))
            yield kept
