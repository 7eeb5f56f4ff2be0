"""Placement of decoded audio frames: gaps, overlaps, and times that cannot be true."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av import AudioFrame

_GAP_SECONDS = Fraction(1, 20)
"""A shorter gap between two frames is rounding in the container, a longer one is lost packets."""
_CERTAINLY_BEYOND = 50
"""So many frames in a row after the end: no more will come. Single ones may have a wrong time, or come before the place
where the clock of a joined file is set back."""


def samples_in(seconds: Fraction, rate: int) -> int:
    """Return how many samples last `seconds`, rounded to the nearest."""
    return math.floor(seconds * rate + Fraction(1, 2))


@dataclass
class AudioClock:
    """Places audio frames in a part of a file, in samples from its start. All times are seconds of the file's clock.

    Attributes:
        start, end: of the part. end: None for the end of the file.
        latest: no frame is placed with a gap before it after this time. It follows the one before instead: a single
            wrong time could make hours of silence of a small file. None: any gap is kept.
        next: the sample after the last frame, which whoever takes the frames sets. None before the first one.
        jumped: a frame had a time after `latest`.
    """

    start: Fraction
    end: Fraction | None = None
    latest: Fraction | None = None
    next: int | None = None
    jumped: bool = False
    _beyond: int = 0

    @property
    def done(self) -> bool:
        """Whether everything that follows comes after the end."""
        return self._beyond >= _CERTAINLY_BEYOND

    def place(self, frame: AudioFrame, rate: int) -> int | None:
        """Return the frame's first sample, negative before the start, or None for a frame after the end."""
        first = self._first_sample(frame, rate)
        if self.end is not None and first >= samples_in(self.end - self.start, rate):
            self._beyond += 1
            return None
        self._beyond = 0
        return first

    def _first_sample(self, frame: AudioFrame, rate: int) -> int:
        following, shortest = self.next or 0, _GAP_SECONDS * rate
        if frame.pts is None or frame.time_base is None:
            return following
        time = frame.pts * frame.time_base
        first = samples_in(time - self.start, rate)
        if self.latest is not None and time > self.latest and first - following >= shortest:
            self.jumped = True
            return following
        return first if self.next is None or first - self.next >= shortest else self.next
