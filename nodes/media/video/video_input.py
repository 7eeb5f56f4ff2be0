"""The reader of video files: decoded frames with their presentation times, and the audio beside them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ...core.channel_layout import usual_order
from ...core.errors import reason_of
from ..audio.waveform import reordered
from ..files import Cancelled, Source, check_cancelled, name_of
from .container import (
    audio_stream,
    declared_rates,
    decoder_of,
    frame_rate,
    is_mp4,
    opened,
    video_stream,
    why_unreadable,
)
from .frame_clock import FrameClock, find_clock, settled_rate
from .matroska import is_cut_off
from .timeline import TOLERANCE, PacketError, Timeline, packets_of, read_timeline

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoFrame, VideoStream
    from av.container import InputContainer

    TimedFrame = tuple[Any, Fraction | None]

_MISSED = Fraction(1, 100)
"""A seek that lands this much too late has missed its key frame."""
_PRIMING = Fraction(1, 10)
"""Audio that begins this much before the first frame may be the priming of an encoder, which is not worth a note."""
_PREROLL = Fraction(1, 10)
"""Audio is decoded from this much earlier: its first frames after a seek lack what they overlap with."""
_FURTHER_BACK_SECONDS = 20
"""A seek in MPEG-TS lands anywhere, and decoding begins with the next key frame. They are rarely farther apart."""
_SKIPPING_CODECS = ("h264", "hevc", "mpeg2video", "mpeg4")
"""Decoders that stop skipping frames as soon as they are told. AV1's goes by what it was told at first."""
_MAX_WARNINGS = 20
_MAX_THREADS = 8
"""Every frame thread keeps frames of its own. More threads cost memory and gain nothing."""
_THREAD_PIXELS = 10_000_000
"""Pixels of a frame times threads. Each thread was seen to take the memory of three frames: about 45 MB at 8 bits."""


@contextmanager
def open_video(source: Source, **options: Any) -> Iterator[VideoInput]:
    """Open a video file for reading. Raises MediaError as `opened` and `VideoInput` do."""
    with opened(source) as container:
        yield VideoInput(source, container, **options)


class VideoInput:
    """An open video file. Raises MediaError if it has no video stream, or an impossible one.

    Use `read_clock` once, or give the clock of an earlier reading, then `read` as often as needed.

    Args:
        threads: type and number of the decoder's threads; None for what suits the size of the frames.

    Attributes:
        video, audio: its streams. audio is None without one.
        channels: where each channel of the usual order is in the file's own, or () if that is the usual one. `read`
            yields audio in the usual order.
        rate: frames per second: of `clock`, or as the file says before that is known.
        place: how far decoding has come, for a message: after which frame of the file, from 0; by time if frames are
            skipped.
        wanted: "video", "audio" or both, while `read` runs.
    """

    def __init__(
        self,
        source: Source,
        container: InputContainer,
        *,
        clock: FrameClock | None = None,
        threads: tuple[str, int] | None = None,
        cancelled: Cancelled | None = None,
    ) -> None:
        self.source, self._cancelled = source, cancelled
        self.name, self.place = name_of(source), "before the first frame"
        self.container = container
        self.video = video_stream(container, source)
        self.audio = audio_stream(container)
        self.channels = usual_order(self.audio) if self.audio is not None else ()
        self.rate = frame_rate(self.video) if clock is None else clock.rate
        size = self.video.codec_context
        self._threads = threads or threads_for(size.width * size.height)
        self._clock = clock
        self._unread = True
        self.wanted: set[str] = set()
        self.damage = Damage(self.name)

    @property
    def clock(self) -> FrameClock:
        """The constant rate that frames are put to."""
        return self._clock or self.read_clock()

    @property
    def timeline(self) -> Timeline:
        """When the frames are shown."""
        return self.clock.timeline

    def read_clock(self, enough: Callable[[list[int]], bool] | None = None) -> FrameClock:
        """Read the times of the packets, and find the clock: of the whole file, or until `enough` and the rate is sure.

        Args:
            enough: gets the times of the frames so far, in ticks, and says whether the rest need not be read.
        """
        self._unread = False
        rates = declared_rates(self.video)
        rate: Fraction | None = None
        looked_at = 0

        def settled(ticks: list[int]) -> bool:
            nonlocal rate, looked_at
            if enough is None or not enough(ticks) or len(ticks) < 2 * looked_at:
                return False
            looked_at = len(ticks)
            rate = settled_rate(self.video, ticks, rates)
            return rate is not None

        timeline = read_timeline(
            self.container, self.video, self.rate, self.name, enough=settled, cancelled=self._cancelled
        )
        if timeline.complete or rate is None:
            self._clock = find_clock(timeline, rates)
        else:
            self._clock = FrameClock(timeline, rate, constant=True)
        self.rate = self._clock.rate
        return self._clock

    def stop(self, kind: str) -> None:
        """Read no more "video" or "audio". Called while `read` runs."""
        self.wanted.discard(kind)

    def read(
        self,
        begin: Fraction | None = None,
        *,
        video: bool = True,
        audio: bool = True,
        only: Fraction | None = None,
    ) -> Iterator[TimedFrame]:
        """Yield decoded frames and audio from a time on, in the file's order. Every frame comes once, in order of time.

        A video frame comes with its time, an audio frame with None. A seek that misses the time is tried again from
        further back, at last from the beginning, before anything is yielded. If frames were lost at the end, they are
        decoded once more by one thread: after an error there, PyAV does not output what the other threads have ready.

        Args:
            begin: seconds on the file's clock, of the first frame to yield; None for all frames. Audio begins with the
                file's packets around it.
            only: the time of the one frame that is wanted. Frames that it does not depend on are skipped. If it cannot
                be decoded, all frames from `begin` on come, and the last one is the best there is.
        """
        timeline = self.timeline  # before any packet is decoded
        audio = audio and self.audio is not None
        first = begin if only is None else only
        seek = None if first is None else timeline.key_before(first - (_PREROLL if audio else 0))
        skip = only is not None and not timeline.counted
        for place in self._places(seek):
            self.wanted = {kind for kind, wanted in (("video", video), ("audio", audio)) if wanted}
            with self._container_at(place) as container:
                if container is None:
                    continue
                attempt = _Pass(
                    self,
                    container,
                    self._threads,
                    begin=begin,
                    seek=None if place is None else seek,
                    only=only if skip else None,
                )
                yield from attempt.frames()
            if not attempt.missed:
                break
        if video and (attempt.lost or (skip and (attempt.damaged or attempt.time != only))):
            self.damage.forget_frames()
            self.wanted = {"video"}
            after = None if only is not None else attempt.time
            with opened(self.source) as container:
                again = _Pass(self, container, (self._threads[0], 1), begin=begin, after=after)
                yield from again.frames()

    def audio_notes(self, *, whole: bool) -> list[str]:
        """Return what of the audio cannot be returned, as parts of sentences.

        Args:
            whole: no start was asked for, and audio from before the first frame is left out all the same.
        """
        notes = []
        tracks = self.container.streams.audio
        if tracks and (reason := why_unreadable(tracks[0])):
            other = "another track is used" if self.audio is not None else "the file has no other one"
            notes.append(f"its audio track cannot be read: {reason}; {other}")
        if whole and self.audio is not None and self.audio.start_time is not None and self.audio.time_base is not None:
            early = self.clock.start - self.audio.start_time * self.audio.time_base
            if early > _PRIMING:
                notes.append(f"its audio begins {float(early):.2f} s before the first frame; that part is left out")
        return notes

    def audio_is_exact(self, begin: Fraction | None) -> bool:
        """Return whether audio that is read from a time on is in its place to the sample.

        Matroska tells times in milliseconds. In a program stream a seek ends within a frame of audio.
        """
        if self.audio is None or begin is None or self.timeline.key_before(begin - _PREROLL) is None:
            return True
        base = self.audio.time_base
        return base is not None and base * self.audio.sample_rate <= 1 and self.container.format.name != "mpeg"

    def cut_off_notes(self) -> list[str]:
        """Return how the file holds less than it says, as parts of sentences.

        Nothing is known of a file that was not read to its end.
        """
        timeline, kind = self.timeline, self.container.format.name
        # AVI also counts frames that are shown again, for which it holds nothing.
        promised = 0 if kind == "avi" else self.video.frames
        ends = f"ends after frame {timeline.packets - 1}"
        if timeline.complete and promised > timeline.packets:
            return [f"the file is cut off: its header counts {promised} frames, it {ends}"]
        if timeline.complete and kind.startswith("matroska") and is_cut_off(self.source):
            return [f"the file is cut off: it {ends}"]
        return []

    def check_cancelled(self) -> None:
        """Raise MediaCancelled if the reading was interrupted."""
        check_cancelled(self._cancelled)

    def _places(self, seek: Fraction | None) -> list[Fraction | None]:
        """Return the times to begin at. Each is tried if the one before did not lead to the key frame at `seek`."""
        if seek is None:
            return [None]
        back = seek - _FURTHER_BACK_SECONDS
        return [seek, back, None] if back > self.timeline.start else [seek, None]

    @contextmanager
    def _container_at(self, time: Fraction | None) -> Iterator[InputContainer | None]:
        """Give a container at that time, None if it cannot be brought there. The beginning (None) always works."""
        unread, self._unread = self._unread, False
        if time is not None:
            yield self.container if _seek(self.container, self.video, time) else None
        elif unread or self._rewind():
            yield self.container
        else:
            with opened(self.source) as container:
                yield container

    def _rewind(self) -> bool:
        if not is_mp4(self.container):
            return False  # only the mp4 reader is sure to find the very first packet of every stream again
        streams: list[Any] = [self.video, self.audio]
        # The other streams follow the one that is asked, so ask the one that starts first.
        stream = min((stream for stream in streams if stream is not None and stream.type in self.wanted), key=_start_of)
        return _seek(self.container, stream, _start_of(stream) - 10)


class _Pass:
    """One pass through the packets of a file.

    Args:
        seek: the key frame that the container was brought to; None for the beginning of the file.
        only: if set, frames that the one at this time does not depend on are skipped.
        after: frames up to this time are not yielded.

    Attributes:
        missed: decoding does not begin at `seek`. Nothing was yielded then.
        time: of the frame that was decoded last, None before the first one.
        damaged: something could not be decoded, or is damaged.
        lost: there was an error at the end of the file, or the last frame is missing.
    """

    def __init__(
        self,
        owner: VideoInput,
        container: InputContainer,
        threads: tuple[str, int],
        *,
        begin: Fraction | None,
        seek: Fraction | None = None,
        only: Fraction | None = None,
        after: Fraction | None = None,
    ) -> None:
        self._owner, self._container, self._wanted = owner, container, owner.wanted
        self._begin, self._seek, self._only, self._after = begin, seek, only, after
        self._video: VideoStream | None = video_stream(container, owner.source) if "video" in self._wanted else None
        self._audio: AudioStream | None = audio_stream(container) if "audio" in self._wanted else None
        if self._audio is not None:
            usual_order(self._audio)  # again: the container may be a new one
        self._seen = self._before = self._place = 0
        self.time: Fraction | None = None
        self._latest: Fraction | None = None
        self.damaged = self.lost = self._skips = False
        self.missed = seek is not None and self._video is not None
        self._held: list[Packet[Any]] = []  # audio, until video shows that the seek has not missed
        owner.place = "in the audio" if self._video is None else "before the first frame"
        if self._video is not None:
            self._decoder = context = decoder_of(self._video)
            if not context.is_open:
                context.thread_type, context.thread_count = threads
            self._skips = only is not None and context.name in _SKIPPING_CODECS
            if self._skips:
                context.skip_frame = "NONREF"  # what no other frame needs, until the last one comes

    def frames(self) -> Iterator[TimedFrame]:
        import av

        try:
            for packet in packets_of(self._container, list(filter(None, (self._video, self._audio)))):
                self._owner.check_cancelled()
                if packet.stream is self._video:
                    yield from self._take_video(packet)
                elif self.missed:
                    self._held.append(packet)
                else:
                    yield from self._take_audio(packet)
                if not self._wanted:
                    break
        except (PacketError, av.FFmpegError) as error:
            self._owner.damage.warn(f"reading stopped {self._owner.place}: {reason_of(error)}")

    def _take_video(self, packet: Packet[Any]) -> Iterator[TimedFrame]:
        if "video" not in self._wanted:
            return
        for frame in self._decode(packet):
            time = self._time_of(frame)
            if self.missed and self._seek is not None:
                if time > self._seek + _MISSED:
                    self._wanted.clear()
                    return
                self.missed = False
                for early in self._held:
                    yield from self._take_audio(early)
            self._owner.check_cancelled()
            if self._begin is not None and time < self._begin - TOLERANCE:
                continue
            if self._after is None or time > self._after:
                if frame.is_corrupt:
                    self.damaged = True
                    self._owner.damage.warn(self._owner.place.removeprefix("after ") + " is damaged", about_frames=True)
                yield frame, time
                if "video" not in self._wanted:
                    return

    def _take_audio(self, packet: Packet[Any]) -> Iterator[TimedFrame]:
        import av

        if "audio" not in self._wanted or self._audio is None:
            return
        try:
            self._place = packet.pos or self._place  # what a parser cut from a longer packet has none of its own
            added = self._owner.timeline.added_at(self._place)
            for frame in self._audio.decode(packet):
                if added and frame.pts is not None and frame.time_base is not None:
                    frame.pts += round(added / frame.time_base)
                yield reordered(frame, self._owner.channels), None
        except (av.FFmpegError, IndexError, ValueError) as error:
            self._note_loss(packet)
            self._owner.damage.warn(f"a part of the audio could not be decoded: {reason_of(error)}")

    def _decode(self, packet: Packet[Any]) -> Iterator[VideoFrame]:
        import av

        time = None if packet.pts is None else packet.pts * packet.time_base
        if self._skips and time == self._only:
            self._decoder.skip_frame = "DEFAULT"
        try:
            yield from self._decoder.decode(packet)
            self.lost |= not packet.size and self._lacks_the_last_frame()
        except (av.FFmpegError, IndexError, ValueError) as error:
            self.damaged = True
            self.lost |= not packet.size  # the packet that ends the stream
            self._note_loss(packet)
            text = f"{self._owner.place} something could not be decoded: {reason_of(error)}"
            self._owner.damage.warn(text, about_frames=True)

    def _lacks_the_last_frame(self) -> bool:
        """Return whether the last frame was not decoded. PyAV 18 can hide the error if it is in the last packets."""
        timeline = self._owner.timeline
        # If nothing is cut off: by counting, a frame that is missing anywhere looks like the last one.
        if timeline.counted and timeline.packets == len(timeline.ticks):
            return False
        return timeline.complete and self._latest is not None and self._latest < timeline.time(-1) - TOLERANCE

    def _note_loss(self, packet: Packet[Any]) -> None:
        known = packet.pts is not None and not self._owner.timeline.counted
        if packet.size or known:
            time = (packet.pts or 0) * packet.time_base if known else None
            self._owner.damage.packets.append((packet.stream.type, time))

    def _time_of(self, frame: VideoFrame) -> Fraction:
        timeline = self._owner.timeline
        if timeline.counted and self._seen < len(timeline.ticks):
            time = timeline.time(self._seen)
        elif not timeline.counted and frame.pts is not None and frame.time_base is not None:
            time = Fraction(frame.pts * frame.time_base)
        elif self.time is not None:
            time = self.time + 1 / self._owner.rate
        else:
            time = Fraction(0)
        if self._seen == 0:
            self._before = timeline.index_from(time)
        self.time, self._latest = time, max(time, self._latest or time)
        at = f"the frame at {float(time):.2f} s" if self._skips else f"frame {self._before + self._seen}"
        self._owner.place = f"after {at}"
        self._seen += 1
        return time


def _seek(container: InputContainer, stream: Any, time: Fraction) -> bool:
    """Bring a container to a time. Return False if a damaged index leads nowhere."""
    import av

    try:
        container.seek(int(time / stream.time_base), stream=stream)
    except av.FFmpegError:
        return False
    return True


def _start_of(stream: Any) -> Fraction:
    return Fraction((stream.start_time or 0) * stream.time_base)


@dataclass
class Damage:
    """What could not be read of a file.

    `packets` holds kind ("video" or "audio") and time (None if unknown) of each packet that could not be decoded.
    """

    name: str
    warnings: list[str] = field(default_factory=list)
    packets: list[tuple[str, Fraction | None]] = field(default_factory=list)
    _about_frames: set[str] = field(default_factory=set)

    def warn(self, text: str, *, about_frames: bool = False) -> None:
        """Keep a warning, once. A badly broken file does not get more than twenty."""
        text = f"{self.name}: {text}."
        if about_frames:
            self._about_frames.add(text)
        if len(self.warnings) < _MAX_WARNINGS and text not in self.warnings:
            self.warnings.append(text)

    def forget_frames(self) -> None:
        """Drop everything about frames, which are about to be read again."""
        self.warnings = [text for text in self.warnings if text not in self._about_frames]
        self.packets = [packet for packet in self.packets if packet[0] != "video"]


def threads_for(pixels: int) -> tuple[str, int]:
    """Return thread_type and thread_count of a decoder for frames of this many pixels.

    There are two more threads than cores, since threads wait for each other. For large frames, threads share a frame in
    files that have slices or rows for it. That takes hardly any memory.
    """
    if is_large(pixels):
        return "SLICE", min(_MAX_THREADS, cores())
    return "AUTO", min(_MAX_THREADS, cores() + 2, _THREAD_PIXELS // max(1, pixels))


def is_large(pixels: int) -> bool:
    """Return whether frames of this many pixels are decoded one after the other."""
    return pixels * 2 > _THREAD_PIXELS


def cores() -> int:
    """Return the number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1
