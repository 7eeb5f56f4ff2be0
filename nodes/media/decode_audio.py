"""Collecting decoded sound into one waveform that starts and ends with the window."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .decode_window import PRIMING, Window, samples_in

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream

Samples = NDArray[np.float32]

#: Of silence that stands in for a stream that is not there.
SILENCE_RATE = 44100
SILENCE_CHANNELS = 2
#: Padding an encoder leaves at the end: less than this many samples (the longest frame of AAC, Opus or MP3, twice).
_TAIL = 4096
#: Smaller gaps between two frames are rounding in the container, larger ones are lost packets.
_GAP_SECONDS = Fraction(1, 20)


class AudioTrack:
    """Takes frames in order, gives out float32 [C,T]. Not for use by more than one thread."""

    def __init__(self, stream: AudioStream, window: Window) -> None:
        #: Where the file says the sound ends. Read now: a stream says nothing more once its file is closed.
        self._stop = _stop_of(stream)
        self._window = window
        #: Nothing from here on is kept (seconds on the file's clock); None: everything is.
        self.end = window.end
        self._chunks: list[tuple[int, Samples]] = []  # first sample, counted from the window's start
        self._next: int | None = None
        self.rate = 0
        self.channels = 0
        self.changed_rate = False

    def add(self, frame: AudioFrame) -> bool:
        """Keep what is inside the window. False once everything that follows comes after it."""
        if not self.rate:
            # Not the stream's word: HE-AAC says half its rate there.
            self.rate, self.channels = int(frame.sample_rate), len(frame.layout.channels)
        if int(frame.sample_rate) != self.rate:
            self.changed_rate = True
            return True
        samples = to_float(frame)
        first = self._first_sample(frame)
        self._next = first + samples.shape[1]
        if self.end is not None:
            length = samples_in(self.end - self._window.start, self.rate)
            if first >= length:
                return False
            samples = samples[:, : length - first]
        if not self._window.whole and first < 0:
            samples, first = samples[:, -first:], 0
        if samples.shape[1]:
            self._chunks.append((first, samples))
        return True

    def waveform(self) -> Samples | None:
        """Everything kept; None where nothing was heard."""
        if not self._chunks:
            return None
        offset = self._chunks[0][0]
        if not self._window.whole or offset > samples_in(PRIMING, self.rate):
            offset = 0  # silence until the sound begins, so that it stays with the pictures
        total = self._length(offset)
        if total <= 0:
            return None
        out: Samples = np.zeros((self.channels, total), np.float32)
        for first, samples in self._chunks:
            at = first - offset
            if 0 <= at < total:
                part = samples[: self.channels, : total - at]
                out[: part.shape[0], at : at + part.shape[1]] = part
        return out

    def _first_sample(self, frame: AudioFrame) -> int:
        """Where the frame belongs, in samples from the window's start; after the one before it unless some are lost."""
        if frame.pts is None or frame.time_base is None:
            return self._next or 0
        first = samples_in(frame.pts * frame.time_base - self._window.start, self.rate)
        if self._next is not None and abs(first - self._next) < _GAP_SECONDS * self.rate:
            return self._next
        return first if self._next is None else max(first, self._next)

    def _length(self, offset: int) -> int:
        last, samples = self._chunks[-1]
        total: int = last + samples.shape[1] - offset
        if self.end is not None:
            total = min(total, samples_in(self.end - self._window.start, self.rate) - offset)
        elif self._stop is not None:
            excess = total - (samples_in(self._stop - self._window.start, self.rate) - offset)
            if 0 < excess <= _TAIL:
                total -= excess
        return total


def _stop_of(stream: AudioStream) -> Fraction | None:
    if not stream.duration or not stream.time_base or stream.start_time is None:
        return None
    return (stream.start_time + stream.duration) * stream.time_base


def silence(seconds: Fraction, rate: int = SILENCE_RATE, channels: int = SILENCE_CHANNELS) -> Samples:
    """Zeros [C,T], at least one sample."""
    return np.zeros((channels, max(1, samples_in(seconds, rate))), np.float32)


def to_float(frame: AudioFrame) -> Samples:
    """The samples of a frame of any format as float32 [C,n]; whole numbers become -1..1."""
    data: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        data = data.reshape(-1, len(frame.layout.channels)).T
    if data.dtype == np.uint8:
        centred: Samples = (data.astype(np.float32) - np.float32(128)) / np.float32(128)
        return centred
    if np.issubdtype(data.dtype, np.integer):
        scaled: Samples = data.astype(np.float32) / np.float32(2.0 ** (8 * data.dtype.itemsize - 1))
        return scaled
    return data.astype(np.float32, copy=False)
