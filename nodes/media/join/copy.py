"""Joining of shots that are alike without decoding their frames: packets are copied, and only the audio is encoded."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.disk import DISK_FULL
from ...core.errors import reason_of
from ..clip.inspect import FileFacts
from ..clip.writer import AacTrack
from ..files import Cancelled, MediaError, check_cancelled
from ..video.container import codec_of, opened, video_stream
from ..video.frame_clock import FrameClock
from ..video.timeline import PacketError, packets_of
from .film import FilmForm
from .seams import CUT_FADE_SECONDS, AudioLane
from .shot import Shot, naming

if TYPE_CHECKING:
    from av import Packet, VideoStream
    from av.container import InputContainer, OutputContainer

    from ..audio.waveform import Samples

_CODEC_TAGS = {"hevc": "hvc1"}
"""Apple's players take HEVC under this name only."""
_ROUNDING = 1
"""Ticks that a frame may be from its time, which containers round."""
_DISK_ERRORS = (*DISK_FULL, errno.EACCES, errno.EIO)
"""Encoding would meet them too."""


class CopyError(Exception):
    """The frames cannot be copied after all. The text is the reason."""


def why_not_copied(shots: Sequence[Shot]) -> str:
    """Return why the frames of these shots cannot be copied into one stream, "" if they can."""
    first: tuple[object, ...] | None = None
    for number, shot in enumerate(shots, 1):
        facts = shot.facts
        if facts is None:
            return f"shot {number} is not a file"
        if reasons := (*facts.reasons_to_encode, *facts.clock.notes):
            return f"shot {number}: {reasons[0]}"
        if not _is_even(facts.clock):
            return f"shot {number} has frames that are not evenly spaced"
        with opened(facts.source) as container:
            stream = video_stream(container, facts.source)
            if not _is_independent(next(_packets(container, stream), None), stream, facts):
                return f"shot {number} does not begin with a key frame that stands alone, or hides or lacks frames"
            kind = _kind(stream, facts)
        first = first or kind
        if kind != first:
            return f"shot {number} has another size, rate, codec or encoder setting than shot 1"
    return ""


def _is_even(clock: FrameClock) -> bool:
    """Return whether every frame of a file has the place that it would get in the film."""
    first, length = clock.timeline.ticks[0], 1 / (clock.rate * clock.timeline.base)
    return all(abs(tick - first - number * length) <= _ROUNDING for number, tick in enumerate(clock.timeline.ticks))


def _is_independent(packet: Packet[Any] | None, stream: VideoStream, facts: FileFacts) -> bool:
    """Return whether a file begins with a frame that is shown first and that separates it from all frames before.

    Not every key frame does: after one in an open group of pictures, the decoder still needs or expects earlier frames.
    """
    timeline = facts.clock.timeline
    if packet is None or timeline.counted or timeline.packets != len(timeline.ticks):
        return False
    return packet.pts == timeline.ticks[0] and _is_idr(
        bytes(packet), stream.codec_context.extradata or b"", hevc=codec_of(stream) == "hevc"
    )


def _is_idr(data: bytes, extradata: bytes, *, hevc: bool) -> bool:
    """Return whether the first image in a packet of an mp4 is an instantaneous decoding refresh (H.264, H.265).

    Args:
        extradata: AVCDecoderConfigurationRecord or HEVCDecoderConfigurationRecord (ISO/IEC 14496-15).
    """
    place, refreshes, others = (21, (19, 20), range(32)) if hevc else (4, (5,), range(1, 5))
    if len(extradata) <= place or extradata[0] != 1:
        return False
    width, at = (extradata[place] & 3) + 1, 0
    while at + width < len(data):
        kind = data[at + width] >> 1 & 63 if hevc else data[at + width] & 31
        if kind in refreshes or kind in others:
            return kind in refreshes
        at += width + int.from_bytes(data[at : at + width], "big")
    return False


def _kind(stream: VideoStream, facts: FileFacts) -> tuple[object, ...]:
    """Return what must be equal in all shots. The extradata holds profile and settings of the codec."""
    context = stream.codec_context
    return (
        codec_of(stream),
        context.extradata,
        context.pix_fmt,
        (context.color_primaries, context.color_trc, context.colorspace, context.color_range),
        context.width,
        context.height,
        stream.time_base,
        facts.fps,
        facts.orientation,
    )


def copy_shots(
    path: Path,
    shots: Sequence[Shot],
    form: FilmForm,
    *,
    cancelled: Cancelled | None,
    on_progress: Callable[[int, int], None],
) -> None:
    """Write a film out of the packets of its shots.

    Args:
        form: of the film; its size and rate are those of the shots.
        on_progress: called with frames done and frames in all.

    Raises:
        CopyError: the packets are not what the file's index says, or cannot be written one after the other.
        MediaCancelled, MediaError: see `files`.
        OSError: the disk is full or cannot be written.
    """
    import av

    sources = [shot.facts for shot in shots if shot.facts is not None]
    done, total = 0, sum(map(_count, sources))
    try:
        ahead = max(map(_frames_ahead, sources))
        with ExitStack() as files:
            container = files.enter_context(av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}))
            stream = _add_stream(container, sources[0], files)
            audio = _FilmAudio(container, form.audio) if form.audio is not None else None
            for number, (shot, facts) in enumerate(zip(shots, sources, strict=True), 1):
                with naming(number, len(shots)):
                    if audio is not None:
                        audio.begin_shot(shot, (done + _count(facts)) / form.fps)
                    for packet in _film_packets(facts, stream, done, ahead):
                        check_cancelled(cancelled)
                        container.mux(packet)
                        done += 1
                        if audio is not None:
                            audio.write_until(done / form.fps)
                        on_progress(done, total)
                    if audio is not None:
                        audio.end_shot()
            if audio is not None:
                audio.finish()
    except MediaError:
        raise
    except (PacketError, av.FFmpegError, ValueError) as error:  # ValueError: a codec that FFmpeg was built without
        if getattr(error, "errno", None) in _DISK_ERRORS:
            raise
        raise CopyError(reason_of(error)) from error


def _count(facts: FileFacts) -> int:
    return len(facts.clock.timeline.ticks)


def _frames_ahead(facts: FileFacts) -> int:
    """Return how many frames decoding is ahead of showing, because frames are coded in another order."""
    with opened(facts.source) as container:
        for packet in _packets(container, video_stream(container, facts.source)):
            if packet.pts is not None and packet.dts is not None:
                return round((packet.pts - packet.dts) * facts.clock.timeline.base * facts.fps)
            break
    return 0


def _add_stream(container: OutputContainer, facts: FileFacts, files: ExitStack) -> VideoStream:
    """Add the video stream of the film: a copy of the first shot's, whose file must stay open meanwhile."""
    template = video_stream(files.enter_context(opened(facts.source)), facts.source)
    # Copying needs no encoder. Older versions of PyAV ask for one all the same.
    opaque = {"opaque": True} if "opaque" in (container.add_stream_from_template.__doc__ or "") else {}
    stream: VideoStream = container.add_stream_from_template(template, **opaque)
    tag = _CODEC_TAGS.get(codec_of(template))
    if tag is not None:
        stream.codec_context.codec_tag = tag
    stream.time_base = template.time_base
    return stream


def _film_packets(facts: FileFacts, stream: VideoStream, begin: int, ahead: int) -> Iterator[Packet[Any]]:
    """Yield the packets of a shot as packets of the film. Raises PacketError if the file has other ones than it says.

    Args:
        begin: number of the film's frame that the shot begins with.
        ahead: frames by which decoding is ahead of showing in the whole film.
    """
    timeline, number = facts.clock.timeline, begin
    length = 1 / (facts.fps * timeline.base)
    with opened(facts.source) as container:
        for packet in _packets(container, video_stream(container, facts.source)):
            assert packet.pts is not None
            packet.pts += round(begin * length) - timeline.ticks[0]
            packet.dts = round((number - ahead) * length)
            packet.duration = round(length)
            packet.stream = stream
            yield packet
            number += 1
    if number - begin != _count(facts):
        raise PacketError("a file holds other frames than its index says")


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[Any]]:
    for packet in packets_of(container, [stream]):
        if packet.size and packet.pts is not None:
            yield packet


class _FilmAudio:
    """The audio of the film, in step with its frames. Times are seconds of the film."""

    def __init__(self, container: OutputContainer, audio: tuple[int, int]) -> None:
        self._container, self._form = container, audio
        self._track = AacTrack(container, audio)
        self._lane = AudioLane(self._mux, audio, round(CUT_FADE_SECONDS * audio[0]), overlapping=False)
        self._samples: Iterator[Samples] = iter(())
        self._shot: Shot | None = None

    def begin_shot(self, shot: Shot, end: Fraction) -> None:
        self._shot, self._samples = shot, shot.read_audio(self._form)
        self._lane.begin_shot(round(end * self._form[0]))

    def write_until(self, seconds: Fraction) -> None:
        """Write the samples up to a time, silence if there are none left."""
        end = round(seconds * self._form[0])
        while self._lane.start + self._lane.count < end and (part := next(self._samples, None)) is not None:
            self._lane.add(part)
        self._lane.fill_to(end)

    def finish(self) -> None:
        self._lane.finish()
        for packet in self._track.finish():
            self._container.mux(packet)

    def end_shot(self) -> None:
        deque(self._samples, 0)  # what is left comes after the last frame, but the shot has to be read to its end
        silent = self._lane.end_shot()
        if self._shot is not None:
            self._shot.note_silence(silent)

    def _mux(self, samples: Samples) -> None:
        for packet in self._track.encode(samples):
            self._container.mux(packet)
