"""Which frames and samples of a file are returned: the window, and the plan made from the times of the packets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from ..files import MediaError
from ..video.frame_clock import FrameClock, FramePacer
from ..video.timeline import OVERTAKEN, TOLERANCE
from ..video.video_input import VideoInput
from .options import DecodeOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..video.video_input import TimedFrame

_REORDER = 4 * OVERTAKEN
"""Packets after which nothing comes that belongs before them: two fields a frame, and twice that."""


@dataclass(frozen=True)
class Window:
    """Seconds on the file's own clock, from `start` to just before `end`, or to the end of the file if `end` is None.

    `whole`: no start was asked for.
    """

    start: Fraction
    end: Fraction | None
    whole: bool

    def before(self, time: Fraction) -> bool:
        """Return whether a frame at `time` comes before the window."""
        return not self.whole and time < self.start - TOLERANCE

    def after(self, time: Fraction) -> bool:
        """Return whether a frame at `time` comes after the window."""
        return self.end is not None and time >= self.end - TOLERANCE

    def end_by(self, time: Fraction) -> Fraction:
        """Return the end of the window, `time` at the latest."""
        return time if self.end is None else min(time, self.end)

    def begun_at(self, time: Fraction) -> Window:
        """Return a window of the same length that starts at `time`."""
        return replace(self, start=time, end=None if self.end is None else self.end + time - self.start)


@dataclass(frozen=True)
class Plan:
    """What the packets of a file promise for a window, found without decoding.

    Attributes:
        window: of the frames.
        audio: window of the audio. It is as long, and begins with the first frame.
        clock: what the frames are counted by.
        slots: of the clock, from the first to the last that is returned.
        frames: how many will be returned, every_nth and max_frames counted in.
        begin: time of the file's frame that the first of them shows; None to read from the beginning.
        last: time of the file's frame that the last of them shows.
        frames_end: when the last frame that was found ends.
        audio_end: of its window, or of the last frame that max_frames lets through. None for the end of the file.
    """

    window: Window
    audio: Window
    clock: FrameClock
    slots: range
    frames: int
    begin: Fraction | None
    last: Fraction
    frames_end: Fraction
    audio_end: Fraction | None


def paced(video: VideoInput, plan: Plan, frames: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
    """Yield frames and audio, each frame as often and at the times that the clock shows it.

    Frames of a constant rate pass as they are.
    """
    if plan.clock.constant:
        yield from frames
        return
    pacer = FramePacer(plan.clock, plan.slots.start, plan.slots.stop)
    for frame, time in frames:
        if time is None:
            yield frame, None
            continue
        for shown, slot in pacer.add(frame, time):
            yield shown, plan.clock.time(slot)
        if pacer.full:
            video.stop("video")
    for shown, slot in pacer.finish(fill=False):
        yield shown, plan.clock.time(slot)


def make_plan(video: VideoInput, options: DecodeOptions) -> Plan:
    """Read the packets' times as far as the window needs them, and choose its frames.

    Raises MediaError for a file without frames, or an empty window.
    """
    base = Fraction(video.video.time_base or 1)
    enough = _ScanLimit(base, options) if options.max_frames or options.duration else None
    clock = video.read_clock(enough)
    window = _window(clock.start, options)
    first = 0 if window.whole else clock.index_from(window.start)
    stop = clock.count if window.end is None else min(clock.count, clock.index_from(window.end))
    chosen = range(first, stop, options.every_nth)
    if options.max_frames:
        chosen = chosen[: options.max_frames]
    if not chosen:
        # What core or another node has trimmed away at the start is not a part of the video for the user.
        final = float(clock.time(clock.count - 1) - clock.start) - options.trimmed
        raise MediaError(
            f"{video.name} has no frame between start_time {options.start_time - options.trimmed:g} s and the end of "
            f"duration: its last frame is at {final:.3f} s. Use a smaller start_time, or 0, and a longer duration, "
            "or 0."
        )
    cut = len(chosen) == options.max_frames
    audio = window.begun_at(clock.time(first))
    audio_end = audio.end_by(clock.time(chosen[-1]) + options.every_nth / clock.rate) if cut else audio.end
    begin = None if window.whole else window.start if clock.constant else clock.frame_in(first)
    last = clock.frame_in(chosen[-1])
    slots = range(first, chosen[-1] + 1)
    return Plan(window, audio, clock, slots, len(chosen), begin, last, clock.end, audio_end)


def _window(first: Fraction, options: DecodeOptions) -> Window:
    """Return the window on the file's clock, counted from its first frame."""
    start = first + Fraction(options.start_time).limit_denominator(1_000_000)
    duration = Fraction(options.duration).limit_denominator(1_000_000)
    return Window(start, start + duration if duration else None, whole=not options.start_time)


class _ScanLimit:
    """Tells when the packets seen so far say all about the window: the rest of a long file is not read then."""

    def __init__(self, base: Fraction, options: DecodeOptions) -> None:
        self._base, self._options = base, options
        self._frames = options.max_frames * options.every_nth
        self._window: Window | None = None
        self._seen = self._inside = self._after = 0

    def __call__(self, ticks: list[int]) -> bool:
        """Look at those of `ticks`, the times of all packets so far, that are new."""
        if len(ticks) < _REORDER:
            return False
        self._window = self._window or _window(min(ticks) * self._base, self._options)
        for tick in ticks[self._seen :]:
            if self._window.after(tick * self._base):
                self._after += 1
            elif not self._window.before(tick * self._base):
                self._inside += 1
        self._seen = len(ticks)
        return self._after >= _REORDER or (self._frames > 0 and self._inside >= self._frames + _REORDER)
