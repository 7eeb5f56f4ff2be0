"""The constant frame rate of what leaves a node, whatever times the frames of a file have."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from .container import FALLBACK_RATE, MAX_RATE
from .timeline import OVERTAKEN, TOLERANCE, Timeline

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream

_SLOWEST = 10
"""Frames per second of a clock that frames are fitted to, at least: none is then more than 0.05 s from its time."""
_FASTEST = 240
"""Frames per second of a clock that frames are fitted to, at most: a burst must not set the rate of a long file."""
_ROUNDING = 2
"""Ticks that the times of a constant rate may be apart, since each is rounded."""
UNEVEN = Fraction(1, 10)
"""Seconds that the times of a constant rate may be apart, or the end of the last frame from where it should be."""
_WITHIN = Fraction(99, 100)
"""Of a frame's duration: times that are farther apart do not leave each frame a slot of its own."""
_LOST = 1.5
"""Times the usual gap between frames, from which on a frame is missing there: more than an uneven constant rate."""
_NEAR = 0.25
"""Gaps between frames that differ by this much of the median belong to the same rate."""
_PROOF = 1000
"""Frames after which a rate that the header names is believed, if the header says nothing to check it by."""
_FEWEST_PLAYED, _MOST_PLAYED = 1, 120
"""Frames per second that every player takes."""


@dataclass(frozen=True)
class FrameClock:
    """A constant frame rate, and which frame of the file each of its slots shows.

    Attributes:
        constant: the file has this rate itself, so each of its frames has a slot of its own. If not, a slot shows the
            frame that is nearest in time: frames are repeated or left out.
        notes: what is done to the frames of the file, as part of a sentence; empty if nothing.
    """

    timeline: Timeline
    rate: Fraction
    constant: bool
    notes: tuple[str, ...] = ()

    @property
    def start(self) -> Fraction:
        """When the first frame is shown, on the file's clock."""
        return self.timeline.start

    @property
    def count(self) -> int:
        """Number of slots in the whole file. The last frame has one at least."""
        timeline = self.timeline
        if self.constant:
            return len(timeline.ticks)
        return max(self.slot_of(timeline.time(-1)) + 1, self.slot_of(timeline.end))

    @property
    def end(self) -> Fraction:
        """When the last slot ends."""
        return self.time(self.count - 1) + 1 / self.rate

    def time(self, slot: int) -> Fraction:
        """Return when a slot is shown."""
        return self.timeline.time(slot) if self.constant else self.start + slot / self.rate

    def index_from(self, time: Fraction) -> int:
        """Return the number of slots before `time`."""
        if self.constant:
            return self.timeline.index_from(time)
        return max(0, math.ceil((time - TOLERANCE - self.start) * self.rate))

    def slot_of(self, time: Fraction) -> int:
        """Return the slot of a frame that is shown at `time`."""
        if self.constant:
            return bisect_left(self.timeline.ticks, math.ceil(time / self.timeline.base))
        return max(0, math.floor((time - self.start) * self.rate + Fraction(1, 2)))

    def frame_in(self, slot: int) -> Fraction:
        """Return the time of the frame that a slot shows."""
        timeline = self.timeline
        if self.constant:
            return timeline.time(slot)
        following = self.start + (slot + Fraction(1, 2)) / self.rate
        return timeline.time(max(0, bisect_left(timeline.ticks, math.ceil(following / timeline.base)) - 1))

    def replaced(self, time: Fraction) -> Fraction:
        """Return when the frame that is shown from `time` on is replaced by the next one, or ends."""
        timeline = self.timeline
        following = bisect_right(timeline.ticks, math.floor(time / timeline.base))
        return timeline.time(following) if following < len(timeline.ticks) else timeline.end

    def played(self) -> FrameClock:
        """Return a clock with a rate that every player takes: this one, or the same frames at another rate."""
        rate, notes = played_rate(self.rate)
        return self if rate == self.rate else FrameClock(self.timeline, rate, False, (*self.notes, *notes))


def played_rate(rate: Fraction) -> tuple[Fraction, tuple[str, ...]]:
    """Return the rate itself, or a multiple or fraction of it if players may not take it, and what is changed."""
    if _FEWEST_PLAYED <= rate <= _MOST_PLAYED:
        return rate, ()
    played = rate * math.ceil(_SLOWEST / rate) if rate < 1 else rate / math.ceil(rate / _MOST_PLAYED)
    return played, (f"its {float(rate):.5g} frames per second become {float(played):.5g}, which every player takes",)


class FramePacer:
    """Puts frames into the slots `first` to before `stop` of a clock.

    Attributes:
        shown_until: when the last frame that was taken is replaced, None before the first frame.
    """

    def __init__(self, clock: FrameClock, first: int, stop: int) -> None:
        self._clock, self._next, self._stop = clock, first, stop
        self._current: VideoFrame | None = None
        self._slot = first
        self._beyond = 0
        self.shown_until: Fraction | None = None

    @property
    def full(self) -> bool:
        """Whether all slots are filled."""
        return self._next >= self._stop

    def add(self, frame: VideoFrame, time: Fraction) -> Iterator[tuple[VideoFrame, int]]:
        """Take the next frame, seen from `time` on. Yield frames with their slots.

        A first frame that is late fills the slots before it too, and a frame those of lost ones after it. A frame after
        the end may have a damaged time: only a second one ends the clip.
        """
        slot, until = self._clock.slot_of(time), self._clock.replaced(time)
        self._beyond = self._beyond + 1 if slot >= self._stop else 0
        if self._beyond and self._current is not None:
            if self._beyond > 1:
                yield from self._fill(self._stop)
            return
        if self._current is not None:
            yield from self._fill(slot)
        self._current, self._slot = frame, slot
        self.shown_until = max(self.shown_until or until, until)
        yield from self._fill(self._clock.slot_of(until))

    def finish(self, *, fill: bool) -> Iterator[tuple[VideoFrame, int]]:
        """Yield the last frame once, if it had no slot yet. With `fill`, for each slot that is left."""
        yield from self._fill(self._stop if fill else self._slot + 1)

    def _fill(self, stop: int) -> Iterator[tuple[VideoFrame, int]]:
        while self._current is not None and self._next < min(stop, self._stop):
            self._next += 1
            yield self._current, self._next - 1


def find_clock(timeline: Timeline, declared: Sequence[Fraction]) -> FrameClock:
    """Return the clock for a file whose packets were all looked at.

    Args:
        declared: the rates that the file names, the best first. One of them is used if the times agree with it.
    """
    times = _Times(timeline, declared)
    rate = times.constant_rate()
    if rate is not None:
        return FrameClock(timeline, rate, constant=True)
    rate = times.usual_rate()
    if rate is not None:
        note = f"its frame rate varies, so frames are repeated or left out for a constant {float(rate):.5g} fps"
        return FrameClock(timeline, rate, constant=False, notes=(note,))
    rate = next(iter(declared), FALLBACK_RATE)
    note = f"its frames have no usable times, so each is shown for one frame of {float(rate):.5g} fps"
    return FrameClock(timeline.without_times(rate), rate, constant=True, notes=(note,))


def settled_rate(stream: VideoStream, ticks: Sequence[int], declared: Sequence[Fraction]) -> Fraction | None:
    """Return the constant rate of a file of which only the first packets were looked at; None if more are needed.

    The rest of the file can be another matter. Then the header's number of frames does not agree with its duration, or
    it names another rate.
    """
    base = Fraction(stream.time_base or 1)
    shown = sorted(ticks)[: -2 * OVERTAKEN]  # a later packet may belong before the others
    if len(shown) < 2:
        return None
    end = (2 * shown[-1] - shown[-2]) * base
    rate = _Times(Timeline(base, shown, [], end, 0, False, False), declared).constant_rate()
    if rate is None:
        return None
    if stream.frames and stream.duration:
        agrees = abs(stream.frames / rate - stream.duration * base) <= UNEVEN
        return rate if agrees else None
    return rate if rate in declared and len(ticks) >= _PROOF else None


class _Times:
    """The times of the frames of a timeline, as far as they tell a frame rate."""

    def __init__(self, timeline: Timeline, declared: Sequence[Fraction]) -> None:
        self._declared = declared
        self._ticks = np.array(timeline.ticks, np.int64)
        self._base = timeline.base
        self._rounding = 0 if 1 / self._base in declared else _ROUNDING  # ticks can count frames, as those of AVI
        self._length = timeline.end - timeline.start
        self._span = (timeline.ticks[-1] - timeline.ticks[0]) * timeline.base

    def constant_rate(self) -> Fraction | None:
        """Return the rate that every frame has its own place in, None if there is none."""
        count = len(self._ticks)
        measured = self._measured()
        lacks_frames = self._lacks_frames()
        for rounded_only in (True, False):
            for rate in (*self._declared, *measured):
                if lacks_frames and not rounded_only and not _named(rate, Fraction(0)):
                    continue  # the average of frames at another rate and a gap
                most = min(_ROUNDING * self._base, 1 / (2 * rate)) if rounded_only else min(UNEVEN, _WITHIN / rate)
                longer = self._length - count / rate
                # The header's rate may be right though the last packet says that its frame is shown for no time.
                fits = longer <= UNEVEN and (longer >= -UNEVEN or (rounded_only and rate in self._declared))
                if fits and self._spread(rate) <= most:
                    return rate
        return None

    def usual_rate(self) -> Fraction | None:
        """Return the rate of most of the frames, or a multiple of it; None if the times make no sense."""
        gaps = np.diff(self._ticks)
        gaps = gaps[gaps > 0]
        if not len(gaps):
            return None
        median = int(np.sort(gaps)[(len(gaps) - 1) // 2])
        near = gaps[np.abs(gaps - median) <= max(_NEAR * median, self._rounding / 2)]
        gap = Fraction(int(near.sum()), len(near)) * self._base
        if 1 / gap > _FASTEST:
            gap = self._span / len(gaps)
        tolerance = max(self._base / 2, gap / 100)
        known = (*self._declared, *_named(1 / gap, Fraction(1, 100)))
        close = [rate for rate in known if abs(1 / rate - gap) <= tolerance] or [1 / gap]
        rate, doubt = close[0], self._rounding * self._base / len(near)
        if not _named(rate, Fraction(0)):  # perhaps an average, which longer gaps are a part of: take the nearest
            rate = min(close, key=lambda rate: max(0, abs(1 / rate - gap) - doubt))
        if rate > MAX_RATE:
            return None
        if rate >= _SLOWEST:
            return rate
        return rate * math.ceil(_SLOWEST / rate) if rate >= 1 else Fraction(_SLOWEST)

    def _measured(self) -> list[Fraction]:
        count = len(self._ticks)
        if self._span:
            rate = (count - 1) / self._span
            exact = _named(rate, _ROUNDING * self._base / self._span)
        elif count == 1 and self._length > 0:
            rate = 1 / self._length
            exact = _named(rate, self._base / self._length)
        else:
            return []
        return [rate for rate in (*exact, rate.limit_denominator(10_000)) if 0 < rate <= MAX_RATE]

    def _lacks_frames(self) -> bool:
        """Return whether some gap has room for one frame more."""
        if len(self._ticks) < 2:
            return False
        gaps = np.diff(self._ticks)
        longest, usual = gaps.max(), np.median(gaps)
        return bool(longest >= _LOST * usual and longest > usual + self._rounding)

    def _spread(self, rate: Fraction) -> float:
        """Return how many seconds the times differ at most from even ones."""
        late = (self._ticks - self._ticks[0]) * float(rate * self._base) - np.arange(len(self._ticks))
        return float(late.max() - late.min()) / float(rate)


def _named(rate: Fraction, tolerance: Fraction) -> list[Fraction]:
    """Return the whole and the NTSC rate that differ from a rate by no more than that share of it."""
    near = Fraction(round(rate)), Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    return [named for named in near if named and abs(named - rate) <= tolerance * rate]
