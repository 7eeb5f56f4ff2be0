"""Presentation times: of the frames, as the packets of a file tell them without decoding, and of decoded audio."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ...core.errors import reason_of
from ..files import Cancelled, MediaError, check_cancelled
from .container import is_mp4

if TYPE_CHECKING:
    from av import AudioFrame, Packet, VideoStream
    from av.container import InputContainer

TOLERANCE = Fraction(1, 1000)
"""Containers round times (Matroska to 1 ms) and users type them: a frame this close to a border is on it."""
OVERTAKEN = 16
"""Packets come in the order of decoding. H.264 and HEVC let a frame overtake this many others."""
_LAST_PACKETS = 20
"""Packets that can be the last one shown. If all packets counted, one damaged time would be taken for the end."""
_GAP_SECONDS = Fraction(1, 20)
"""A shorter gap between two frames is rounding in the container, a longer one is lost packets."""
_PROBED = 16
"""Packets that show whether two of them make one frame."""
_APART = 0.75
"""Of a frame's duration: the second field of a frame comes sooner after the first, the next frame later."""
_JUMP_SECONDS = 10
"""If both clocks of a transport stream go ahead by more in one step, another file was joined there. FFmpeg's limit."""
_RARE = 100
"""A step up to this many times the usual one is not a jump."""
_CERTAINLY_BEYOND = 50
"""This many frames in a row after the end: no more will come. Single ones may have a wrong time, or come before
the place where the clock of a joined file is set back."""


class PacketError(Exception):
    """The file cannot be read any further. The text is the reason."""


def packets_of(container: InputContainer, streams: list[Any]) -> Iterator[Packet[Any]]:
    """Yield the packets of these streams. Raises PacketError if damage ends them, whatever PyAV raises for it."""
    import av

    try:
        yield from container.demux(streams)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise PacketError(reason_of(error)) from error


@dataclass(frozen=True)
class Timeline:
    """When the frames of a video stream are shown, in seconds of the file's own clock.

    If files were joined and the clock was set back on the way, or far ahead, the times go on as if it had not been.

    Attributes:
        base: seconds of a tick.
        ticks: presentation time of each frame, ascending; at the stream's rate if the packets carry no times.
        keys: those of the frames that decoding can begin with.
        end: when the last frame ends.
        packets: the packets that are there in full.
        complete: every packet was looked at, not only as many as were needed.
        counted: the decoded frames do not carry these times: the n-th frame is shown at the n-th time.
        joints: where in the file another clock begins, and the seconds to be added to its times.
    """

    base: Fraction
    ticks: list[int]
    keys: list[int]
    end: Fraction
    packets: int
    complete: bool
    counted: bool
    joints: tuple[tuple[int, Fraction], ...] = ()

    @property
    def start(self) -> Fraction:
        """When the first frame is shown."""
        return self.time(0)

    def time(self, index: int) -> Fraction:
        """Return when a frame is shown."""
        return self.ticks[index] * self.base

    def index_from(self, time: Fraction) -> int:
        """Return the number of frames that are shown before `time`."""
        return bisect_left(self.ticks, math.ceil((time - TOLERANCE) / self.base))

    def key_before(self, time: Fraction) -> Fraction | None:
        """Return the time of the last key frame at or before `time`, None for the first one of the file."""
        index = bisect_right(self.keys, math.floor((time + TOLERANCE) / self.base)) - 1
        return self.keys[index] * self.base if index > 0 else None

    def added_at(self, place: int) -> Fraction:
        """Return the seconds to be added to the times of a packet at that place in the file."""
        return next((added for begin, added in reversed(self.joints) if place >= begin), Fraction(0))

    def without_times(self, rate: Fraction) -> Timeline:
        """Return the timeline of the same frames, one after the other at a rate."""
        count = len(self.ticks)
        return Timeline(1 / rate, list(range(count)), [], count / rate, self.packets, self.complete, counted=True)


def read_timeline(
    container: InputContainer,
    video: VideoStream,
    rate: Fraction,
    name: str,
    *,
    enough: Callable[[list[int]], bool] | None = None,
    cancelled: Cancelled | None = None,
) -> Timeline:
    """Read through the packets of a newly opened file, which takes some milliseconds for 10 MB.

    The header is not believed: it may count no frames, too few, or far too many. Raises MediaError for a file without
    frames.

    Args:
        rate: frames per second, if nothing else says how long a frame is shown.
        enough: gets the times of the frames so far, in ticks, and says whether the rest need not be read.
    """
    base = Fraction(video.time_base or 1)
    jump = round(_JUMP_SECONDS / base) if container.format.name == "mpegts" else None
    scan = _PacketScan(max(1, round(1 / (rate * base))), jump)
    complete = True
    with suppress(PacketError):  # a truncated file ends here; decoding says where
        for packet in packets_of(container, [video]):
            check_cancelled(cancelled)
            if packet.size and scan.add(packet) and enough is not None and enough(scan.ticks):
                complete = False
                break
    if scan.packets == 0 and not scan.ticks:
        raise MediaError(f"{name} holds no frames. The file is cut off or damaged; make or download it again.")
    if len(scan.ticks) * 2 < scan.packets:
        ticks, end = list(range(scan.packets)), scan.packets / rate
        return Timeline(1 / rate, ticks, [], end, scan.packets, complete, counted=True)
    counted = scan.set_back or container.format.name == "avi"
    keys = [] if counted else sorted(scan.keys)
    ticks = sorted(scan.shown(video))
    end = scan.end(ticks, in_order_of_decoding=is_mp4(container)) * base
    joints = tuple((place, shift * base) for place, shift in scan.joints)
    return Timeline(base, ticks, keys, end, scan.packets, complete, counted, joints)


@dataclass
class _PacketScan:
    """Times of the packets of a video stream, in ticks, in the file's order. Only frames that are shown count.

    Attributes:
        length: ticks that a frame is shown if its packet does not say.
        jump: more ticks than a clock goes ahead in one step; None if it may.
        set_back: the clock was set back on the way, or far ahead, as in files that were joined.
        joints: the places in the file where that happened, and the ticks to be added from there on.
        total, longest: durations of all frames together, and of the one that is shown longest.
        fields: two packets with times of their own make one frame, as in interlaced broadcasts. The first one counts.
        head: the first packets, as long as the file may begin with frames that cannot be decoded.
    """

    length: int
    jump: int | None = None
    ticks: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    ends: deque[int] = field(default_factory=lambda: deque(maxlen=_LAST_PACKETS))
    total: int = 0
    longest: int = 0
    packets: int = 0
    set_back: bool = False
    joints: list[tuple[int, int]] = field(default_factory=list)
    fields: bool = False
    head: list[Packet[Any]] = field(default_factory=list)
    _first_key: int | None = None
    _decoded: int | None = None  # the clock of decoding
    _highest: int = 0
    _shift: int = 0

    def add(self, packet: Packet[Any]) -> bool:
        """Count a packet. Return whether its frame is shown."""
        self.packets += not packet.is_corrupt  # the last one of a file that is cut off
        if packet.pts is None:
            return False
        if self._is_set_back(packet) or self._is_set_ahead(packet):
            self.set_back = True
            self._shift = self._highest + self.length - packet.pts
            if packet.pos is not None:
                self.joints.append((packet.pos, self._shift))
        tick = packet.pts + self._shift
        self._decoded = packet.dts if packet.dts is not None else self._decoded
        self._highest = max(self._highest, tick) if self.ticks else tick
        if packet.is_keyframe and self.packets == 1:
            self._first_key = tick
        if packet.is_discard:
            return False
        if self.fields and self._is_second_field(tick, self.ticks[-1]):
            self.packets -= not packet.is_corrupt
            return False
        self.ticks.append(tick)
        length = self.length if self.fields else packet.duration or self.length
        self.ends.append(tick + length)
        self.total += length
        self.longest = max(self.longest, length)
        if len(self.head) < 2 * OVERTAKEN:
            self.head.append(packet)
        if packet.is_keyframe:
            self.keys.append(tick)
        if len(self.ticks) == _PROBED and self._has_fields(packet.stream):
            self._count_fields()
        return True

    def shown(self, video: VideoStream) -> list[int]:
        """Return the ticks without those of frames that lack what they depend on: the file was cut from a longer one.

        They are to be shown before the key frame that the file begins with, or have its time if the cut made them so.
        Other frames in that place can be decoded, so the decoder is asked which comes first.
        """
        key = self._first_key
        if key is None or key not in self.keys or not any(tick <= key for tick in self.ticks[1:]):
            return self.ticks
        first = next(_decoded(video, self.head), None)
        if first is not None and first < key:
            return [tick for tick in self.ticks if tick >= first]
        return [tick for tick in self.ticks if tick > key] + [key]

    def end(self, ticks: list[int], *, in_order_of_decoding: bool) -> int:
        """Return when the last frame ends.

        The packets of some containers have the duration that the frame at their place in the order of decoding is shown
        for. Only their sum is right then.
        """
        last = self.total - (ticks[-1] - ticks[0])
        return ticks[-1] + last if in_order_of_decoding and 0 < last <= self.longest else max(self.ends)

    def _has_fields(self, video: VideoStream) -> bool:
        """Return whether the packets are half a frame apart, and the decoder makes whole frames of them."""
        gaps = sorted(following - tick for tick, following in pairwise(sorted(self.ticks)))
        if not self._is_second_field(gaps[len(gaps) // 2], 0):
            return False
        frames = sorted(_decoded(video, self.head))
        return len(frames) > 1 and not any(self._is_second_field(later, tick) for tick, later in pairwise(frames))

    def _count_fields(self) -> None:
        """Take the second fields out of what was counted so far."""
        self.fields = True
        firsts = self.ticks[:1]
        for tick in self.ticks[1:]:
            if not self._is_second_field(tick, firsts[-1]):
                firsts.append(tick)
        self.packets -= len(self.ticks) - len(firsts)
        self.ticks, self.keys = firsts, [key for key in self.keys if key in firsts]

    def _is_second_field(self, tick: int, first: int) -> bool:
        return 0 < tick - first <= _APART * self.length

    def _is_set_back(self, packet: Packet[Any]) -> bool:
        """Return whether both clocks go back: at a key frame, or by more than frames overtake each other."""
        if packet.dts is None or self._decoded is None or packet.dts >= self._decoded or packet.pts is None:
            return False
        back = self._highest - packet.pts - self._shift
        return back > (0 if packet.is_keyframe else OVERTAKEN * self.length)

    def _is_set_ahead(self, packet: Packet[Any]) -> bool:
        """Return whether both clocks go far ahead, in a file whose frames are not that far apart."""
        if self.jump is None or packet.dts is None or self._decoded is None or len(self.ticks) < _PROBED:
            return False
        usual = (self._highest - self.ticks[0]) // len(self.ticks)
        least = max(self.jump, _RARE * usual)
        return packet.dts - self._decoded > least and (packet.pts or 0) + self._shift - self._highest > least


def _decoded(video: VideoStream, packets: list[Packet[Any]]) -> Iterator[int]:
    """Yield the ticks of the frames that a decoder outputs for the packets that a file begins with."""
    import av

    # Not the stream's own context: that gets its threads later.
    context: Any = av.CodecContext.create(video.codec_context.codec.name, "r")
    context.extradata = video.codec_context.extradata
    context.options = dict(video.codec_context.options)
    for packet in (*packets, None):
        with suppress(av.FFmpegError):
            for frame in context.decode(packet):
                if frame.pts is not None:
                    yield frame.pts


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
        next: the sample after the last frame, set by whoever takes the frames. None before the first one.
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
