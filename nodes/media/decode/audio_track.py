"""Collecting decoded sound into one waveform that starts and ends with the window."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..audio.waveform import samples_of
from ..video.container import is_mp4
from .plan import Window, samples_in

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
#: Bytes of sound for which memory is not asked while they come in: about 20 s of stereo.
_UNASKED = 8 << 20


class AudioTrack:
    """Takes frames in order, gives out float32 [C,T]. Not for use by more than one thread.

    Sound that begins after the window's start has silence before it, so that it stays with the pictures. Sound from
    before the start is cut off where a start or an end was asked for. A file that is given out whole keeps it, sample
    for sample what ffmpeg and ComfyUI core give: encoders leave up to 0.1 s of priming there, and where pictures begin
    later than that, the window begins with the sound.

    pictures_end: seconds on the file's clock. No timestamp leaves a hole beyond it where no end was asked for: a small
    file could make hours of silence. ask: called with bytes of sound before they are taken; may raise.
    """

    def __init__(
        self, stream: AudioStream, window: Window, pictures_end: Fraction, ask: Callable[[int], None] | None = None
    ) -> None:
        #: Where the file says the sound ends. Read now: a stream says nothing more once its file is closed.
        # What other containers than mp4 say of it is guessed from the first and last packets.
        self._stop = _stop_of(stream) if is_mp4(stream.container) else None
        self._window = window
        self._keeps_lead = window.whole and window.end is None
        self._latest = pictures_end if window.end is None else None
        self._ask = ask
        self._held = 0  # bytes in chunks
        self._asked = _UNASKED
        #: Nothing from here on is kept (seconds on the file's clock); None: everything is.
        self.end = window.end
        self._chunks: list[tuple[int, Samples]] = []  # first sample, counted from the window's start
        self._next: int | None = None
        self.rate = 0
        self.channels = 0
        self.changed_rate = False
        #: Some sound claimed a time far after the pictures; it was put after the sound before it.
        self.jumped = False

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
        if not self._keeps_lead and first < 0:
            samples, first = samples[:, -first:], 0
        if samples.shape[1]:
            self._chunks.append((first, samples))
            self._held += samples.nbytes
            if self._ask is not None and self._held > self._asked:
                self._asked = 2 * self._held
                self._ask(self._asked)
        return True

    def waveform(self) -> Samples | None:
        """Everything kept; None where nothing was heard."""
        if not self._chunks:
            return None
        offset = min(0, self._chunks[0][0])
        total = self._length(offset)
        if total <= 0:
            return None
        if self._ask is not None:
            self._ask(self.channels * total * 4)
        out: Samples = np.zeros((self.channels, total), np.float32)
        for first, samples in self._chunks:
            at = first - offset
            if 0 <= at < total:
                part = samples[: self.channels, : total - at]
                out[: part.shape[0], at : at + part.shape[1]] = part
        return out

    def _first_sample(self, frame: AudioFrame) -> int:
        """Where the frame belongs, in samples from the window's start; after the one before it unless some are lost."""
        following = self._next or 0
        if frame.pts is None or frame.time_base is None:
            return following
        time = frame.pts * frame.time_base
        first = samples_in(time - self._window.start, self.rate)
        if self._latest is not None and time > self._latest and first - following >= _GAP_SECONDS * self.rate:
            self.jumped = True
            return following
        if self._next is not None and abs(first - self._next) < _GAP_SECONDS * self.rate:
            return self._next
        if self._next is not None and self._next < min(first, 0):
            self._move(min(first, 0) - self._next)
        return first if self._next is None else max(first, self._next)

    def _move(self, samples: int) -> None:
        """Close a hole before the window's start, where priming is told from the sound by its time: silence there would
        make all that follows late.
        """
        self._chunks = [(first + samples, kept) for first, kept in self._chunks]

    def _length(self, offset: int) -> int:
        last, samples = self._chunks[-1]
        total: int = last + samples.shape[1] - offset
        if self.end is not None:
            total = min(total, samples_in(self.end - self._window.start, self.rate) - offset)
        if self._stop is not None:
            excess = total - (samples_in(self._stop - self._window.start, self.rate) - offset)
            if 0 < excess <= _TAIL:
                total -= excess
        return total


def seeks_to_the_sample(stream: AudioStream) -> bool:
    """Whether sound that is read from the midst of its file is in its right place, to the sample.

    Matroska tells times in milliseconds. In a program stream a seek ends within a frame of sound.
    """
    base, container = stream.time_base, stream.container
    return base is not None and base * stream.sample_rate <= 1 and container.format.name != "mpeg"


def _stop_of(stream: AudioStream) -> Fraction | None:
    if not stream.duration or not stream.time_base or stream.start_time is None:
        return None
    return (stream.start_time + stream.duration) * stream.time_base


def silence(seconds: Fraction, rate: int = SILENCE_RATE, channels: int = SILENCE_CHANNELS) -> Samples:
    """Zeros [C,T], at least one sample."""
    return np.zeros((channels, max(1, samples_in(seconds, rate))), np.float32)


def to_float(frame: AudioFrame) -> Samples:
    """The samples of a frame of any format as float32 [C,n]; whole numbers become -1..1."""
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
