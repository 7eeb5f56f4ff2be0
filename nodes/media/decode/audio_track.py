"""Collecting decoded audio into one waveform that begins with the first frame."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..audio.waveform import samples_of
from ..video.container import is_mp4
from ..video.timeline import AudioClock, samples_in
from .plan import Plan

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream

Samples = NDArray[np.float32]

SILENCE_RATE, SILENCE_CHANNELS = 44100, 2
"""Of the silence that stands in for a missing stream."""
_TAIL = 4096
"""Padding that an encoder leaves at the end has fewer samples: the longest frame of AAC, Opus or MP3, twice."""
_UNASKED = 8 << 20
"""Bytes of audio that are taken without asking for memory: about 20 s of stereo."""


class AudioTrack:
    """Takes audio frames in order, returns float32 [C,T]. Not thread-safe.

    The first sample is heard when the first frame is shown: audio from before that is cut off, and silence stands
    before audio that begins later.

    Args:
        plan: says where the audio starts and ends. If no end was asked for, no timestamp leaves a gap after the frames.
        ask: called with a number of bytes before that much audio is kept; may raise.

    Attributes:
        rate, channels: of the first frame; 0 before it.
        changed_rate: some audio had another sample rate, and was dropped.
    """

    def __init__(self, stream: AudioStream, plan: Plan, ask: Callable[[int], None]) -> None:
        # Read now: a stream says nothing once its file is closed. Other containers than mp4 guess where audio ends
        # from the first and last packets.
        self._stop = _stop_of(stream) if is_mp4(stream.container) else None
        self._start, end = plan.audio.start, plan.audio_end
        self._clock = AudioClock(self._start, end, plan.frames_end if end is None else None)
        self._ask = ask
        self._held = 0  # bytes in chunks
        self._asked = _UNASKED
        self._chunks: list[tuple[int, Samples]] = []  # first sample, counted from the start
        self.rate = 0
        self.channels = 0
        self.changed_rate = False

    @property
    def jumped(self) -> bool:
        """Whether some audio had a time long after the frames. It was put after the audio before it."""
        return self._clock.jumped

    def end_at(self, end: Fraction | None) -> None:
        """Keep nothing from this time on, whatever the plan says; None for everything."""
        self._clock.end = end

    def add(self, frame: AudioFrame) -> bool:
        """Keep what is inside the window. Return whether anything inside it can follow."""
        if not self.rate:
            # Not what the stream says: HE-AAC says half its rate there.
            self.rate, self.channels = int(frame.sample_rate), len(frame.layout.channels)
        if int(frame.sample_rate) != self.rate:
            self.changed_rate = True
            return True
        first = self._clock.place(frame, self.rate)
        if first is None:
            return False
        samples = to_float(frame)
        self._clock.next = first + samples.shape[1]
        if (length := self._length()) is not None:
            samples = samples[:, : length - first]
        if first < 0:
            samples, first = samples[:, -first:], 0
        if samples.shape[1]:
            self._chunks.append((first, samples))
            self._held += samples.nbytes
            if self._held > self._asked:
                self._asked = 2 * self._held
                self._ask(self._asked)
        return True

    def waveform(self) -> Samples | None:
        """Return everything that was kept; None without audio."""
        if not self._chunks:
            return None
        total = self._total()
        if total <= 0:
            return None
        self._ask(self.channels * total * 4)
        out: Samples = np.zeros((self.channels, total), np.float32)
        for first, samples in self._chunks:
            if first < total:
                part = samples[: self.channels, : total - first]
                out[: part.shape[0], first : first + part.shape[1]] = part
        return out

    def _length(self) -> int | None:
        """Return the samples of the window, None if it has no end."""
        end = self._clock.end
        return None if end is None else samples_in(end - self._start, self.rate)

    def _total(self) -> int:
        last, samples = self._chunks[-1]
        total: int = last + samples.shape[1]
        if (length := self._length()) is not None:
            total = min(total, length)
        if self._stop is not None:
            excess = total - samples_in(self._stop - self._start, self.rate)
            if 0 < excess <= _TAIL:
                total -= excess
        return total


def _stop_of(stream: AudioStream) -> Fraction | None:
    if not stream.duration or not stream.time_base or stream.start_time is None:
        return None
    return (stream.start_time + stream.duration) * stream.time_base


def silence(seconds: Fraction, rate: int = SILENCE_RATE, channels: int = SILENCE_CHANNELS) -> Samples:
    """Return zeros [C,T], at least one sample."""
    return np.zeros((channels, max(1, samples_in(seconds, rate))), np.float32)


def to_float(frame: AudioFrame) -> Samples:
    """Return the samples of a frame of any format as float32 [C,n]; whole numbers become -1..1."""
    data = samples_of(frame)
    if not frame.format.is_planar:
        data = data.reshape(-1, len(frame.layout.channels)).T
    if data.dtype == np.uint8:
        centred: Samples = (data.astype(np.float32) - np.float32(128)) / np.float32(128)
        return centred
    if np.issubdtype(data.dtype, np.integer):
        scaled: Samples = data.astype(np.float32) / np.float32(2.0 ** (8 * data.dtype.itemsize - 1))
        return scaled
    return data.astype(np.float32, copy=False)
