"""Which frames and samples of a file are given out: the window, and the plan made from the packets' times."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..files import MediaCancelled, MediaError
from ..video.container import PacketError, packets_of
from ..video.probe import frame_rate

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoStream
    from av.container import InputContainer

    from .options import DecodeOptions

#: Containers round times (Matroska to 1 ms) and widgets are typed by hand: a frame this near to a border is on it.
TOLERANCE = Fraction(1, 1000)
#: Sound is decoded from this much before the window: its first frames after a seek lack what they overlap with.
_PREROLL = Fraction(1, 10)
#: Audio that begins this much before the first frame is priming, not a picture that starts late.
PRIMING = Fraction(1, 10)
#: Packets come in the order of decoding. H.264 and HEVC let a frame overtake so many others.
_OVERTAKEN = 16
#: Packets after which nothing comes that belongs before them: two fields a frame, and twice that.
_REORDER = 4 * _OVERTAKEN


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
class KeyFrame:
    """Where decoding can begin. time: seconds on the file's clock. number: how many frames are shown before it."""

    time: Fraction
    number: int


@dataclass(frozen=True)
class Plan:
    """What the packets of a file promise for a window, found without decoding.

    frames: how many will be given out (every_nth and max_frames counted in); None where packets carry no time.
    last: time of the last of them. seek: the key frame to start from; None to start at the beginning. seek_last: the
    same for the last frame alone. packets: those found that are there in full. complete: the whole file was looked
    through, and not only as far as the window needs it. pictures_end: when the last picture that was found ends.
    times: of all frames in the order they are shown, where a frame cannot be trusted to carry its own; else empty.
    """

    window: Window
    frames: int | None
    last: Fraction | None
    seek: KeyFrame | None
    seek_last: KeyFrame | None
    packets: int
    complete: bool
    pictures_end: Fraction
    times: tuple[Fraction, ...] = ()


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
    found = _look_through(container, video, audio, options, cancelled)
    base, packets = video.time_base, found.packets
    if packets == 0 and not found.ticks:
        raise MediaError(f"{name} holds no frames. The file is cut off or damaged; make or download it again.")
    if base is None or len(found.ticks) * 2 < packets:
        window, length = _window(None, audio, options), packets / frame_rate(video)
        return Plan(window, None, None, None, None, packets, found.complete, window.start + length)
    ticks, keys = sorted(found.shown(video)), sorted(found.keys)
    window = _window(ticks[0] * base, audio, options)
    # Whole numbers: a film has hundreds of thousands of frames.
    first = 0 if window.whole else bisect_left(ticks, math.ceil((window.start - TOLERANCE) / base))
    stop = len(ticks) if window.end is None else bisect_left(ticks, math.ceil((window.end - TOLERANCE) / base))
    chosen = range(first, stop, options.every_nth)
    if options.max_frames:
        chosen = chosen[: options.max_frames]
    if not chosen:
        # What core or another node has trimmed away at the start is no part of the video for whoever reads this.
        final = float((ticks[-1] - ticks[0]) * base) - options.trimmed
        raise MediaError(
            f"{name} has no frame between start_time {options.start_time - options.trimmed:g} s and the end of "
            f"duration: its last frame is at {final:.3f} s. Use a smaller start_time, or 0, and a longer duration, "
            "or 0."
        )
    ordered = found.jumped or container.format.name == "avi"
    if ordered:
        keys = []  # times are told by counting, and so from the beginning
    last, before = ticks[chosen[-1]] * base, window.start - (_PREROLL if audio is not None else 0)
    return Plan(
        window,
        len(chosen),
        last,
        None if window.whole else _key_before(ticks, keys, before, base),
        _key_before(ticks, keys, last, base),
        found.packets,
        found.complete,
        ticks[-1] * base + 1 / frame_rate(video),
        tuple(tick * base for tick in ticks) if ordered else (),
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


@dataclass
class _Found:
    """What the packets of a video stream say. ticks: their times, keys: those of the key frames, in the file's order.

    Only frames that will be shown count. jumped: the clock was set back on the way, as where two files were joined; the
    ticks go on as if it had not been.
    """

    ticks: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    packets: int = 0
    complete: bool = True
    jumped: bool = False
    #: The first packets, while it is not known whether the file begins with frames that cannot be decoded.
    head: list[Packet[Any]] = field(default_factory=list)
    _first_key: int | None = None
    _decoded: int | None = None  # the clock of decoding
    _highest: int = 0
    _shift: int = 0

    def add(self, packet: Packet[Any], length: int) -> bool:
        """Count a packet, whose frame is shown for `length` ticks where nothing else is known. False: not shown."""
        self.packets += not packet.is_corrupt  # the last one of a file that is cut off
        if packet.pts is None:
            return False
        if self._is_set_back(packet, length):
            self.jumped = True
            self._shift = self._highest + length - packet.pts
        tick = packet.pts + self._shift
        self._decoded = packet.dts if packet.dts is not None else self._decoded
        self._highest = max(self._highest, tick) if self.ticks else tick
        if packet.is_keyframe and self.packets == 1:
            self._first_key = tick
        if packet.is_discard:
            return False
        self.ticks.append(tick)
        if len(self.head) < 2 * _OVERTAKEN:
            self.head.append(packet)
        if packet.is_keyframe:
            self.keys.append(tick)
        return True

    def shown(self, video: VideoStream) -> list[int]:
        """The ticks without those of frames that lack what they depend on, because the file was cut from a longer one.

        They are to be shown before the key frame that the file begins with, or have its time where the cut made them
        so. There are others in that place that can be decoded, so the decoder is asked which comes first.
        """
        key = self._first_key
        if key is None or key not in self.keys or not any(tick <= key for tick in self.ticks[1:]):
            return self.ticks
        first = _first_decoded(video, self.head)
        if first is not None and first < key:
            return [tick for tick in self.ticks if tick >= first]
        return [tick for tick in self.ticks if tick > key] + [key]

    def _is_set_back(self, packet: Packet[Any], length: int) -> bool:
        """Whether both clocks go back, and by more than frames overtake each other."""
        if packet.dts is None or self._decoded is None or packet.dts >= self._decoded or packet.pts is None:
            return False
        return packet.pts + self._shift < self._highest - _OVERTAKEN * length


def _look_through(
    container: InputContainer,
    video: VideoStream,
    audio: AudioStream | None,
    options: DecodeOptions,
    cancelled: Callable[[], bool] | None,
) -> _Found:
    """The packets, as far as they are needed."""
    found = _Found()
    enough = _Enough(video.time_base, audio, options)
    length = max(1, round(1 / (frame_rate(video) * video.time_base))) if video.time_base else 1
    with suppress(PacketError):  # a truncated file ends here; decoding says where
        for packet in packets_of(container, [video]):
            if cancelled is not None and cancelled():
                raise MediaCancelled("Reading the file was interrupted.")
            if packet.size and found.add(packet, length) and enough.add(found.ticks):
                found.complete = False
                break
    return found


def _first_decoded(video: VideoStream, packets: list[Packet[Any]]) -> int | None:
    """Ticks of the first frame that a decoder gives out for the packets that a file begins with."""
    import av

    # One of its own: that of the stream gets its threads later.
    context: Any = av.CodecContext.create(video.codec_context.codec.name, "r")
    context.extradata = video.codec_context.extradata
    context.options = dict(video.codec_context.options)
    for packet in (*packets, None):
        with suppress(av.FFmpegError):
            for frame in context.decode(packet):
                ticks: int | None = frame.pts
                return ticks
    return None


def _key_before(ticks: list[int], keys: list[int], time: Fraction, base: Fraction) -> KeyFrame | None:
    """The last key frame at or before `time`; None for the first of the file, which needs no seek."""
    index = bisect_right(keys, math.floor((time + TOLERANCE) / base)) - 1
    return KeyFrame(keys[index] * base, bisect_left(ticks, keys[index])) if index > 0 else None


def samples_in(seconds: Fraction, rate: int) -> int:
    """How many samples last `seconds`, rounded to the nearest."""
    return math.floor(seconds * rate + Fraction(1, 2))
