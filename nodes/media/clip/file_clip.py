"""The kept part of a video file, decoded once and in order, at a constant frame rate."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import MediaError
from ..video.container import audio_stream, name_of, opened, video_stream
from .audio import SoundTrack
from .frame_pacer import Slots
from .source import FileSource

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, Packet, VideoFrame, VideoStream
    from av.container import InputContainer

    from ..audio.waveform import Samples

_TAIL_SECONDS = 3
_LAST_PACKETS = 20
"""More than any codec changes the order of. Among all packets, one damaged time would be taken for the end."""
_FURTHER_BACK_SECONDS = 20
"""A seek in MPEG-TS lands anywhere, and decoding begins with the next key frame. They are hardly farther apart."""

_PIECES = {"video": "pieces of its pictures", "audio": "pieces of its sound"}


def unreadable() -> tuple[type[Exception], ...]:
    """What PyAV raises for a damaged file: beside FFmpeg's own errors, IndexError where a stream appears on the way and
    ValueError where what it holds changes."""
    import av

    return av.error.FFmpegError, IndexError, ValueError


def end_of(source: FileSource, start: Fraction, fps: Fraction) -> Fraction:
    """When the last frame ends, in seconds of the file's own clock.

    Read from the packets at the end, without decoding: what containers say of their length counts the sound in, and is
    missing in some. start: of the first frame. fps: how long the last frame stands where its packet does not say.
    Raises MediaError.
    """
    with opened(source) as container:
        stream = video_stream(container, name_of(source))
        tail = _tail(container, stream, start)
        end = None
        if tail is not None and _sought(container, stream, tail):
            end, _ = _last_end(container, stream, fps)
    if end is None or end <= start:
        with opened(source) as container:
            end, count = _last_end(container, video_stream(container, name_of(source)), fps)
            if end is None and count:
                end = start + count / fps
    if end is None:
        raise MediaError(f"{name_of(source)} holds no frames.")
    return end


def _tail(container: InputContainer, stream: VideoStream, start: Fraction) -> Fraction | None:
    """A time shortly before the end, None for a file that is short or does not say where it ends."""
    said = [Fraction(container.duration, 1_000_000)] if container.duration else []
    said += [start + stream.duration * _time_base(stream)] if stream.duration else []
    return min(said) - _TAIL_SECONDS if said and min(said) > start + 2 * _TAIL_SECONDS else None


def _sought(container: InputContainer, stream: VideoStream, time: Fraction) -> bool:
    """Bring a file to a time. False where it cannot be: bare H.264 has no times, a damaged index leads nowhere, and
    before its first time MPEG-TS begins to count anew."""
    if time < _beginning(stream):
        return False
    try:
        container.seek(int(time / _time_base(stream)), stream=stream)
    except unreadable():
        return False
    return True


def _last_end(container: InputContainer, stream: VideoStream, fps: Fraction) -> tuple[Fraction | None, int]:
    """When the last picture of the rest of the file ends, None where no packet has a time, and how many packets."""
    ends: deque[Fraction] = deque(maxlen=_LAST_PACKETS)
    count = 0
    with suppress(*unreadable()):  # a file that was cut off: what came before counts
        for packet in container.demux(stream):
            count += bool(packet.size)
            if packet.pts is not None and packet.size and not packet.is_discard:
                ends.append(_end(packet, fps))
    return max(ends, default=None), count


def _end(packet: Packet[Any], fps: Fraction) -> Fraction:
    """When what is in a packet with a time ends."""
    base = packet.time_base or Fraction(1, 1_000_000)
    return (packet.pts or 0) * base + ((packet.duration or 0) * base or 1 / fps)


def _beginning(stream: VideoStream) -> Fraction:
    return (stream.start_time or 0) * _time_base(stream)


def _time_base(stream: VideoStream | AudioStream) -> Fraction:
    return stream.time_base or Fraction(1, 1_000_000)


@dataclass
class FileClip:
    """The part from `start` of a file that makes `frames` frames at `fps`. See `ClipSource`."""

    source: FileSource
    size: tuple[int, int]
    rotation: int
    fps: Fraction
    start: Fraction
    frames: int
    sound: tuple[int, int] | None
    content: str
    cut_off: Fraction = Fraction(0)
    damage: str = ""
    _gains: dict[int | None, float] = field(default_factory=dict, init=False)

    @property
    def end(self) -> Fraction:
        """Of the part, in seconds of the file's own clock."""
        return self.start + self.frames / self.fps

    def read(self, sound: tuple[int, int] | None) -> Generator[VideoFrame | Samples, None, None]:
        """Decode from the key frame before the start. Frames are repeated or left out to keep the rate constant.

        Raises MediaError where no frame can be decoded, or none at the end.
        """
        for back in (0, _FURTHER_BACK_SECONDS, None):
            if (yield from self._read_from(back, sound)):
                return
        raise MediaError("The video holds no frame that can be decoded.")

    def _read_from(
        self, back: int | None, sound: tuple[int, int] | None
    ) -> Generator[VideoFrame | Samples, None, bool]:
        """Read from so many seconds before the start, None for the beginning of the file, which always works. Gives
        back False, with nothing given out, where the first frame found there comes after the start."""
        from av import VideoFrame as video_frame  # noqa: N813 - the name is taken by the annotation

        with opened(self.source) as container:
            video = video_stream(container, name_of(self.source))
            video.thread_type = "AUTO"
            streams: list[Any] = [video]
            track = None
            if sound is not None and (heard := audio_stream(container)) is not None:
                streams.append(heard)
                track = self._track(sound)
            if back is not None and not _sought(container, video, self.start - back):
                return False
            if back not in self._gains:
                self._gains[back] = self._gain(back, sound)
            gain = np.float32(self._gains[back])
            decoder, slots = Decoder(self, _beginning(video)), Slots(self)
            early: list[Samples] = []  # sound, as long as it is not known whether this is the right place
            for frame in decoder.frames(container, streams):
                if isinstance(frame, video_frame):
                    if back is not None and not slots.begun and slots.is_late(frame):
                        return False
                    yield from early
                    early.clear()
                    yield from slots.add(frame, decoder)
                elif track is not None:
                    parts = (part * gain for part in track.add(frame))
                    if slots.begun:
                        yield from parts
                    else:
                        early += parts
                if slots.full and (track is None or track.full):
                    break
            if not slots.begun:
                return False
            yield from slots.rest(decoder)
            if track is not None:
                yield from (part * gain for part in track.rest())
            self.damage = decoder.damage
            return True

    def _track(self, sound: tuple[int, int]) -> SoundTrack:
        return SoundTrack(sound, self.start, int(self.frames * sound[0] / self.fps))

    def _gain(self, back: int | None, sound: tuple[int, int] | None) -> float:
        """How far the sound has to be turned down so that nothing is above full scale. Found before the first frame
        goes out, by decoding the sound alone: held back until all of it is known, it would keep the pictures back."""
        if sound is None:
            return 1.0
        with opened(self.source) as container:
            video, heard = video_stream(container, name_of(self.source)), audio_stream(container)
            if heard is None or (back is not None and not _sought(container, video, self.start - back)):
                return 1.0
            track = self._track(sound)
            for frame in Decoder(self, _beginning(video)).frames(container, [heard]):
                deque(track.add(frame), 0)  # type: ignore[arg-type]
                if track.full:
                    break
            deque(track.rest(), 0)
        return 1 / max(1.0, track.loudest)


class Decoder:
    """Gives every frame that can be decoded; damaged packets and a missing end are passed over, and counted.

    beginning: of the file, on its own clock. ends: when the pictures that are on their way end, by their pts. What a
    frame says of that itself is less to be relied on.
    """

    def __init__(self, clip: FileClip, beginning: Fraction) -> None:
        self._clip = clip
        self.beginning = beginning
        self._lost = {"video": 0, "audio": 0}
        self.ends: dict[int, Fraction] = {}

    @property
    def damage(self) -> str:
        """What could not be decoded inside the clip, "" for nothing."""
        lost = [f"{self._lost[kind]} {name}" for kind, name in _PIECES.items() if self._lost[kind]]
        if not lost:
            return ""
        return f"The file is damaged: {' and '.join(lost)} could not be decoded. Look at the clip before you use it."

    def frames(self, container: InputContainer, streams: list[Any]) -> Iterator[VideoFrame | AudioFrame]:
        """In the order in which the file has them."""
        with suppress(*unreadable()):
            for packet in container.demux(*streams):
                if packet.stream.type == "video" and packet.pts is not None:
                    self.ends[packet.pts] = _end(packet, self._clip.fps)
                try:
                    yield from packet.decode()
                except unreadable():
                    self._lost[packet.stream.type] += self._is_inside(packet)

    def _is_inside(self, packet: Packet[Any]) -> bool:
        if packet.pts is None or packet.time_base is None:
            return bool(packet.size)  # the one without data asks for what is left, also after the clip
        return self._clip.start <= packet.pts * packet.time_base < self._clip.end
