"""The kept part of a video file, decoded once and in order, at a constant frame rate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from .clip_source import FileSource, silence
from .decode_source import audio_stream, name_of, opened, video_stream
from .file import MediaError

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, VideoFrame, VideoStream
    from av.container import InputContainer

    from .waveform import Samples

_TAIL_SECONDS = 3
_GAP_SECONDS = Fraction(1, 20)
"""A hole in the sound's timestamps longer than this is filled with silence; shorter ones are rounding."""


def end_of(source: FileSource, start: Fraction, fps: Fraction) -> Fraction:
    """When the last frame ends, in seconds of the file's own clock.

    Read from the packets at the end, without decoding: what containers say of their length counts the sound in, and is
    missing in some. start: of the first frame. fps: how long the last frame stands where its packet does not say.
    Raises MediaError.
    """
    with opened(source) as container:
        stream = video_stream(container, name_of(source))
        base = _time_base(stream)
        said = [Fraction(container.duration, 1_000_000)] if container.duration else []
        said += [start + stream.duration * base] if stream.duration else []
        end = None
        if said and min(said) > start + 2 * _TAIL_SECONDS:
            container.seek(int((min(said) - _TAIL_SECONDS) / base), stream=stream)
            end = _last_end(container, stream, fps)
        if end is None or end <= start:
            container.seek(int(start / base), stream=stream)
            end = _last_end(container, stream, fps)
    if end is None:
        raise MediaError(f"{name_of(source)} holds no frames.")
    return end


def _last_end(container: InputContainer, stream: VideoStream, fps: Fraction) -> Fraction | None:
    import av

    base, last = _time_base(stream), None
    try:
        for packet in container.demux(stream):
            if packet.pts is not None and packet.size:
                end = packet.pts * base + ((packet.duration or 0) * base or 1 / fps)
                last = end if last is None else max(last, end)
    except av.error.FFmpegError:
        pass  # a file that was cut off: what came before counts
    return last


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

    def read(self, sound: tuple[int, int] | None) -> Iterator[VideoFrame | Samples]:
        """Decode from the key frame before the start. Frames are repeated or left out to keep the rate constant."""
        from av import VideoFrame as video_frame  # noqa: N813 - the name is taken by the annotation

        with opened(self.source) as container:
            video = video_stream(container, name_of(self.source))
            video.thread_type = "AUTO"
            streams: list[Any] = [video]
            track = None
            if sound is not None and (heard := audio_stream(container)) is not None:
                streams.append(heard)
                track = _SoundTrack(sound, self.start, int(self.frames * sound[0] / self.fps))
            base = _time_base(video)
            container.seek(int(self.start / base), stream=video)
            slots = _Slots(self)
            for frame in _decoded(container, streams):
                if isinstance(frame, video_frame):
                    yield from slots.add(frame)
                elif track is not None:
                    yield from track.add(frame)
                if slots.full and (track is None or track.full):
                    break
            yield from slots.rest()
            if track is not None:
                yield from track.rest()


def _decoded(container: InputContainer, streams: list[Any]) -> Iterator[VideoFrame | AudioFrame]:
    """Every frame that can be decoded; damaged packets and a missing end are passed over."""
    import av

    try:
        for packet in container.demux(*streams):
            with suppress(av.error.InvalidDataError):
                yield from packet.decode()
    except av.error.FFmpegError:
        return


class _Slots:
    """Puts frames with any timestamps into slots of one frame rate: each slot shows the frame that stands there."""

    def __init__(self, clip: FileClip) -> None:
        self._clip = clip
        self._next = 0
        self._current: VideoFrame | None = None

    @property
    def full(self) -> bool:
        return self._next >= self._clip.frames

    def add(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        if frame.pts is None or frame.time_base is None:
            slot = self._next + (self._current is not None)
        else:
            slot = round((frame.pts * frame.time_base - self._clip.start) * self._clip.fps)
        yield from self._until(slot)
        self._current = frame

    def rest(self) -> Iterator[VideoFrame]:
        if self._current is None and not self.full:
            raise MediaError("The video holds no frame that can be decoded.")
        yield from self._until(self._clip.frames)

    def _until(self, slot: int) -> Iterator[VideoFrame]:
        if self._current is None:
            return  # a late first frame fills the slots before it
        while self._next < min(slot, self._clip.frames):
            self._next += 1
            yield self._current


class _SoundTrack:
    """Decoded sound in one form, laid out from the start of the clip: holes filled with silence, the rest cut off."""

    def __init__(self, sound: tuple[int, int], start: Fraction, length: int) -> None:
        import av

        self._rate, self._channels = sound
        layout = "mono" if self._channels == 1 else "stereo"
        self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=self._rate)
        self._start = start
        self._length = length
        self._position: int | None = None

    @property
    def full(self) -> bool:
        return self._position is not None and self._position >= self._length

    def add(self, frame: AudioFrame) -> Iterator[Samples]:
        if frame.pts is not None and frame.time_base is not None:
            due = round((frame.pts * frame.time_base - self._start) * self._rate)
            if self._position is None:
                self._position = min(due, 0)
            hole = due - self._position
            if hole > _GAP_SECONDS * self._rate:
                yield from self._out(silence(self._channels, hole))
        frame.pts = None
        for part in self._resampler.resample(frame):
            yield from self._out(np.asarray(part.to_ndarray(), np.float32))

    def rest(self) -> Iterator[Samples]:
        if self._position is not None:
            for part in self._resampler.resample(None):
                yield from self._out(np.asarray(part.to_ndarray(), np.float32))

    def _out(self, samples: Samples) -> Iterator[Samples]:
        position = self._position or 0
        self._position = position + samples.shape[1]
        kept = samples[:, max(0, -position) : max(0, self._length - position)]
        if kept.shape[1]:
            yield kept
