"""Which frames and samples of a file are given out: the window, and the plan made from the packets' times."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from .decode_source import PacketError, packets_of
from .file import MediaCancelled, MediaError
from .probe import frame_rate

if TYPE_CHECKING:
    from av import AudioStream, VideoStream
    from av.container import InputContainer

    from .decode_options import DecodeOptions

#: Containers round times (Matroska to 1 ms) and widgets are typed by hand: a frame this near to a border is on it.
TOLERANCE = Fraction(1, 1000)
#: Sound is decoded from this much before the window: its first frames after a seek lack what they overlap with.
_PREROLL = Fraction(1, 10)
#: Audio that begins this much before the first frame is priming, not a picture that starts late.
PRIMING = Fraction(1, 10)
#: Packets come in the order of decoding. H.264 and HEVC let a frame overtake 16 others, of two fields each; twice that.
_REORDER = 64


@dataclass(frozen=True)
class Window:
    """Seconds on the file's own clock. start: inclusive; end: exclusive, None for the end of the file.

    whole: no start was asked for, so audio is kept from its first sample on.
    """

    start: Fraction
    end: Fraction | None
    whole: bool

    def before(self, time: Fraction) -> bool:
        """Whether a frame at `time` comes before the window."""
        return not self.whole and time < self.start - TOLERANCE

    def after(self, time: Fraction) -> bool:
        """Whether a frame at `time` comes after the window."""
        return self.end is not None and time >= self.end - TOLERANCE


@dataclass(frozen=True)
class Plan:
    """What the packets of a file promise for a window, found without decoding.

    frames: how many will be given out (every_nth and max_frames counted in); None where packets carry no time.
    last: time of the last of them. seek: time of the key frame to start from; None to start at the beginning.
    packets: those found that are there in full. complete: the whole file was looked through, and not only as far as the
    window needs it. pictures_end: when the last picture that was found ends.
    """

    window: Window
    frames: int | None
    last: Fraction | None
    seek: Fraction | None
    seek_last: Fraction | None
    packets: int
    complete: bool
    pictures_end: Fraction


def make_plan(
    container: InputContainer,
    video: VideoStream,
    audio: AudioStream | None,
    options: DecodeOptions,
    name: str,
    cancelled: Callable[[], bool] | None = None,
) -> Plan:
    """Read through the packets once, as far as the window needs it; for 10 MB that takes some milliseconds.

    The header is not believed: it may count no frames, too few, or far too many. Raises MediaError for an empty window,
    MediaCancelled.
    """
    times, keys, packets, complete = _packet_times(container, video, audio, options, cancelled)
    window = _window(times[0] if times else None, audio, options)
    if packets == 0 and not times:
        raise MediaError(f"{name} holds no frames. The file is cut off or damaged; make or download it again.")
    if not times:
        return Plan(window, None, None, None, None, packets, complete, window.start + packets / frame_rate(video))
    inside = [time for time in times if not window.before(time) and not window.after(time)]
    if not inside:
        first, length = window.start - times[0], times[-1] - times[0]
        raise MediaError(
            f"{name} has no frame between start_time {float(first):g} s and the end of duration: its last frame is at "
            f"{float(length):.3f} s. Use a smaller start_time, or 0, and a longer duration, or 0."
        )
    chosen = inside[:: options.every_nth]
    if options.max_frames:
        chosen = chosen[: options.max_frames]
    return Plan(
        window,
        len(chosen),
        chosen[-1],
        None if window.whole else _key_before(keys, window.start - (_PREROLL if audio is not None else 0)),
        _key_before(keys, chosen[-1]),
        packets,
        complete,
        times[-1] + 1 / frame_rate(video),
    )


def _window(first: Fraction | None, audio: AudioStream | None, options: DecodeOptions) -> Window:
    zero = first or Fraction(0)
    if audio is not None and audio.start_time is not None and audio.time_base is not None:
        heard = audio.start_time * audio.time_base
        if heard < zero - PRIMING:
            zero = heard
    start = zero + Fraction(options.start_time).limit_denominator(1_000_000)
    duration = Fraction(options.duration).limit_denominator(1_000_000)
    return Window(start, start + duration if duration else None, whole=not options.start_time)


class _Enough:
    """Whether the packets seen so far tell all about what was asked for: the rest of a long file is not read then."""

    def __init__(self, base: Fraction | None, audio: AudioStream | None, options: DecodeOptions) -> None:
        self._base, self._audio, self._options = base, audio, options
        self._frames = options.max_frames * options.every_nth
        self._window: Window | None = None
        self._inside = self._after = 0

    def add(self, ticks: list[int]) -> bool:
        """Look at the last of `ticks`, the times of all packets so far."""
        if self._base is None or not (self._frames or self._options.duration):
            return False
        news = ticks[-1:]
        if self._window is None:
            if len(ticks) < _REORDER:
                return False
            news, self._window = ticks, _window(min(ticks) * self._base, self._audio, self._options)
        for tick in news:
            if self._window.after(tick * self._base):
                self._after += 1
            elif not self._window.before(tick * self._base):
                self._inside += 1
        return self._after >= _REORDER or (self._frames > 0 and self._inside >= self._frames + _REORDER)


def _packet_times(
    container: InputContainer,
    video: VideoStream,
    audio: AudioStream | None,
    options: DecodeOptions,
    cancelled: Callable[[], bool] | None,
) -> tuple[list[Fraction], list[Fraction], int, bool]:
    """Sorted times of the frames that will be shown, those of the key frames, how many packets, whether that is all."""
    ticks: list[int] = []
    keys: list[int] = []
    packets, complete = 0, True
    base = video.time_base
    enough = _Enough(base, audio, options)
    with suppress(PacketError):  # a truncated file ends here; decoding says where
        for packet in packets_of(container, [video]):
            if cancelled is not None and cancelled():
                raise MediaCancelled("Reading the file was interrupted.")
            if not packet.size:
                continue
            packets += not packet.is_corrupt  # the last one of a file that is cut off
            if packet.pts is None or packet.is_discard:
                continue
            ticks.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
            if enough.add(ticks):
                complete = False
                break
    if base is None or len(ticks) * 2 < packets:
        return [], [], packets, complete
    return [tick * base for tick in sorted(ticks)], [key * base for key in sorted(keys)], packets, complete


def _key_before(keys: list[Fraction], time: Fraction) -> Fraction | None:
    """The last key frame at or before `time`; None for the first of the file, which needs no seek."""
    index = bisect_right(keys, time + TOLERANCE) - 1
    return keys[index] if index > 0 else None


def samples_in(seconds: Fraction, rate: int) -> int:
    """How many samples last `seconds`, rounded to the nearest."""
    return math.floor(seconds * rate + Fraction(1, 2))
