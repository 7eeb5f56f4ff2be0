"""The sound of a video file as one even track."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..audio.waveform import mix_down, samples_of
from .source import silence

if TYPE_CHECKING:
    from av import AudioFrame, AudioResampler

    from ..audio.waveform import Samples

_GAP_SECONDS = Fraction(1, 20)
"""A hole in the sound's timestamps longer than this is filled with silence; shorter ones are rounding."""
_SURELY_BEYOND = 50
"""So many frames in a row after the end: no more will come. A few may be there by a timestamp that is wrong, or that
MPEG-TS began to count anew."""


class SoundTrack:
    """Decoded sound in one form, laid out from the start of the clip: holes filled with silence, the rest cut off.

    sound: rate and channels (1 or 2) of what is given out. start: of the clip, on the file's clock. length: samples of
    it. More channels are mixed down as those of tensors are, which FFmpeg would do louder. loudest: sample so far.
    """

    def __init__(self, sound: tuple[int, int], start: Fraction, length: int) -> None:
        self._rate, self._channels = sound
        self._start = start
        self._length = length
        self._position: int | None = None
        self._beyond = 0
        self._kind: tuple[object, ...] = ()
        self._resampler: AudioResampler | None = None
        self.loudest = 0.0

    @property
    def full(self) -> bool:
        """Whether nothing is to come any more."""
        return self._beyond >= _SURELY_BEYOND or (self._position is not None and self._position >= self._length)

    def add(self, frame: AudioFrame) -> Iterator[Samples]:
        """What the next frame makes known."""
        if frame.pts is not None and frame.time_base is not None:
            due = round((frame.pts * frame.time_base - self._start) * self._rate)
            if due >= self._length:
                self._beyond += 1
                return
            self._beyond = 0
            yield from self._hole(due)
        frame.pts = None
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:  # broadcasts change it on the way, and a resampler takes one kind only
            yield from self.rest()
            self._kind, self._resampler = kind, _resampler(self._rate)
        yield from self._resampled(frame)

    def rest(self) -> Iterator[Samples]:
        """What the resampler holds back."""
        if self._resampler is not None:
            yield from self._resampled(None)
            self._resampler = None

    def _hole(self, due: int) -> Iterator[Samples]:
        shortest = _GAP_SECONDS * self._rate
        if self._position is None:
            self._position, shortest = min(due, 0), Fraction(0)  # what begins late is late from the first sample on
        hole = due - self._position
        if hole > shortest:
            yield from self._out(silence(self._channels, hole))

    def _resampled(self, frame: AudioFrame | None) -> Iterator[Samples]:
        assert self._resampler is not None
        for part in self._resampler.resample(frame):
            samples = mix_down(np.asarray(samples_of(part), np.float32))
            if samples.shape[0] > self._channels:
                samples = samples.mean(axis=0, keepdims=True, dtype=np.float32)
            elif samples.shape[0] < self._channels:
                samples = np.repeat(samples, self._channels, axis=0)
            yield from self._out(samples)

    def _out(self, samples: Samples) -> Iterator[Samples]:
        position = self._position or 0
        self._position = position + samples.shape[1]
        kept = samples[:, max(0, -position) : max(0, self._length - position)]
        if kept.shape[1]:
            self.loudest = max(self.loudest, float(np.abs(kept).max()))
            yield kept


def _resampler(rate: int) -> AudioResampler:
    import av

    return av.AudioResampler(format="fltp", rate=rate)
