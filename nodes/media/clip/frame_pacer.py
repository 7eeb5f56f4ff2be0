"""Frames with any timestamps at one frame rate."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from ..files import MediaError

if TYPE_CHECKING:
    from av import VideoFrame

    from .file_clip import Decoder, FileClip

_LAST_FRAMES, _LAST_SECONDS = Fraction(3, 2), Fraction(1, 10)
"""What may be missing at the end of a sound file: some end with a packet that holds no picture of its own."""


class Slots:
    """Puts frames with any timestamps into slots of one frame rate: each slot shows the frame that stands there."""

    def __init__(self, clip: FileClip) -> None:
        self._clip = clip
        self._next = 0
        self._current: VideoFrame | None = None
        self._time: Fraction | None = None
        self._shown_until: Fraction | None = None
        self._beyond = 0

    @property
    def begun(self) -> bool:
        """Whether a frame has come."""
        return self._current is not None

    @property
    def full(self) -> bool:
        """Whether all frames are out."""
        return self._next >= self._clip.frames

    def is_late(self, frame: VideoFrame) -> bool:
        """Whether as the first frame it leaves the beginning of the clip open, or may do so."""
        time = _time_of(frame)
        return time is None or time > self._clip.start + 1 / (2 * self._clip.fps)

    def add(self, frame: VideoFrame, decoder: Decoder) -> Iterator[VideoFrame]:
        """What the next frame, in order of time, makes known. Raises MediaError where the end is lost."""
        step = 1 / self._clip.fps
        time = _time_of(frame)
        if time is None:  # frames without times stand for one step each, from the beginning of the file on
            time = Fraction(0) if self._time is None else self._time + step
        self._time = time
        end = time + step if frame.pts is None else decoder.ends.pop(frame.pts, time + step)
        slot = round((time - self._clip.start) * self._clip.fps)
        self._beyond = self._beyond + 1 if slot >= self._clip.frames else 0
        if self._beyond == 1 and self.begun:
            return  # its time may be damaged: only a second one ends the clip
        if self._beyond and decoder.damage:
            self._check_end(decoder.beginning)
        yield from self._until(slot)
        self._current, self._shown_until = frame, max(self._shown_until or end, end)

    def rest(self, decoder: Decoder) -> Iterator[VideoFrame]:
        """The slots in which the last frame stands. Raises MediaError where the end is lost."""
        self._check_end(decoder.beginning)
        yield from self._until(self._clip.frames)

    def _check_end(self, beginning: Fraction) -> None:
        """Raise MediaError where the last frame is far from the end. beginning: of the file, on its own clock."""
        clip, until = self._clip, self._shown_until
        if self.full or until is None or clip.end - until <= max(_LAST_FRAMES / clip.fps, _LAST_SECONDS):
            return
        raise MediaError(
            f"The last {float(clip.end - until):.3g} s of the clip cannot be decoded: the file is damaged from "
            f"{float(until - beginning):.4g} s on, and the video goes on from the clip's end. Trim it to end before "
            "that, or make it again."
        )

    def _until(self, slot: int) -> Iterator[VideoFrame]:
        if self._current is None:
            return  # a late first frame fills the slots before it
        while self._next < min(slot, self._clip.frames):
            self._next += 1
            yield self._current


def _time_of(frame: VideoFrame) -> Fraction | None:
    return None if frame.pts is None or frame.time_base is None else Fraction(frame.pts * frame.time_base)
