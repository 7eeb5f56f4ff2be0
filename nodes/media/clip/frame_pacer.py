"""Frames with any presentation times, at one frame rate."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av import VideoFrame


class FramePacer:
    """Puts frames into the slots of one frame rate: each slot shows the frame that is seen at its time.

    Args:
        start: of the first slot, in seconds on the clock of the frames.
        fps: slots a second.
        count: number of slots.

    Attributes:
        shown_until: when the last frame that was put into a slot is replaced. None before the first frame.
    """

    def __init__(self, start: Fraction, fps: Fraction, count: int) -> None:
        self._start, self._fps, self._count = start, fps, count
        self._next = 0
        self._current: VideoFrame | None = None
        self._beyond = 0
        self.shown_until: Fraction | None = None

    @property
    def full(self) -> bool:
        """Whether all slots are filled."""
        return self._next >= self._count

    def add(self, frame: VideoFrame, time: Fraction, until: Fraction) -> Iterator[VideoFrame]:
        """Yield what the next frame, seen from `time` to `until`, makes known. A late first one fills all slots before.

        A frame after the end may have a damaged time: only a second one ends the clip.
        """
        slot = round((time - self._start) * self._fps)
        self._beyond = self._beyond + 1 if slot >= self._count else 0
        if self._beyond and self._current is not None:
            if self._beyond > 1:
                yield from self.finish()
            return
        if self._current is not None:
            yield from self._fill(slot)
        self._current, self.shown_until = frame, max(self.shown_until or until, until)

    def finish(self) -> Iterator[VideoFrame]:
        """Yield the slots in which the last frame stands."""
        yield from self._fill(self._count)

    def _fill(self, slot: int) -> Iterator[VideoFrame]:
        while self._current is not None and self._next < min(slot, self._count):
            self._next += 1
            yield self._current
