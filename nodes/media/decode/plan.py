"""Which frames and samples of a file are returned: the window, and the plan made from the times of the packets."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ..files import MediaError
from ..video.timeline import OVERTAKEN, TOLERANCE
from ..video.video_input import VideoInput
from .options import DecodeOptions

if TYPE_CHECKING:
    from av import AudioStream

_PRIMING = Fraction(1, 10)
"""Audio that begins this much before the first frame is an encoder's priming, not a sign that the video starts late."""
_REORDER = 4 * OVERTAKEN
"""Packets after which nothing comes that belongs before them: two fields a frame, and twice that."""


@dataclass(frozen=True)
class Window:
    """Seconds on the file's own clock, from `start` to just before `end`, or to the end of the file if `end` is None.

    `whole`: no start was asked for, so audio is kept from its first sample on.
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


@dataclass(frozen=True)
class Plan:
    """What the packets of a file promise for a window, found without decoding.

    Attributes:
        frames: how many will be returned, every_nth and max_frames counted in.
        last: time of the last of them.
        frames_end: when the last frame that was found ends.
        audio_end: of the window, or of the last frame that max_frames lets through. None for the end of the file.
    """

    window: Window
    frames: int
    last: Fraction
    frames_end: Fraction
    audio_end: Fraction | None


def make_plan(video: VideoInput, options: DecodeOptions) -> Plan:
    """Read the packets' times as far as the window needs them, and choose its frames.

    Raises MediaError for a file without frames, or an empty window.
    """
    audio = video.audio if options.want_audio else None
    base = Fraction(video.video.time_base or 1)
    enough = _ScanLimit(base, audio, options) if options.max_frames or options.duration else None
    timeline = video.read_timeline(enough)
    window = _window(timeline.start, audio, options)
    first = 0 if window.whole else timeline.index_from(window.start)
    stop = len(timeline.ticks) if window.end is None else timeline.index_from(window.end)
    chosen = range(first, stop, options.every_nth)
    if options.max_frames:
        chosen = chosen[: options.max_frames]
    if not chosen:
        # What core or another node has trimmed away at the start is not a part of the video for the user.
        final = float(timeline.time(-1) - timeline.start) - options.trimmed
        raise MediaError(
            f"{video.name} has no frame between start_time {options.start_time - options.trimmed:g} s and the end of "
            f"duration: its last frame is at {final:.3f} s. Use a smaller start_time, or 0, and a longer duration, "
            "or 0."
        )
    last = timeline.time(chosen[-1])
    cut = len(chosen) == options.max_frames
    audio_end = window.end_by(last + options.every_nth / video.rate) if cut else window.end
    return Plan(window, len(chosen), last, timeline.time(-1) + 1 / video.rate, audio_end)


def _window(first: Fraction, audio: AudioStream | None, options: DecodeOptions) -> Window:
    """Return the window on the file's clock, whose zero is the first frame, or audio from well before it."""
    zero = first
    if audio is not None and audio.start_time is not None and audio.time_base is not None:
        heard = audio.start_time * audio.time_base
        if heard < zero - _PRIMING:
            zero = heard
    start = zero + Fraction(options.start_time).limit_denominator(1_000_000)
    duration = Fraction(options.duration).limit_denominator(1_000_000)
    return Window(start, start + duration if duration else None, whole=not options.start_time)


class _ScanLimit:
    """Tells when the packets seen so far say all about the window: the rest of a long file is not read then."""

    def __init__(self, base: Fraction, audio: AudioStream | None, options: DecodeOptions) -> None:
        self._base, self._audio, self._options = base, audio, options
        self._frames = options.max_frames * options.every_nth
        self._window: Window | None = None
        self._seen = self._inside = self._after = 0

    def __call__(self, ticks: list[int]) -> bool:
        """Look at those of `ticks`, the times of all packets so far, that are new."""
        if len(ticks) < _REORDER:
            return False
        self._window = self._window or _window(min(ticks) * self._base, self._audio, self._options)
        for tick in ticks[self._seen :]:
            if self._window.after(tick * self._base):
                self._after += 1
            elif not self._window.before(tick * self._base):
                self._inside += 1
        self._seen = len(ticks)
        return self._after >= _REORDER or (self._frames > 0 and self._inside >= self._frames + _REORDER)
