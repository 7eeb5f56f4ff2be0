"""Joining of shots that are alike without decoding their frames: packets are copied, and only the audio is encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..clip.writer import AacTrack
from ..files import Cancelled, check_cancelled
from ..video.container import opened, video_stream
from .seams import AudioLane
from .shot import FilmForm, Shot

if TYPE_CHECKING:
    from av import Packet, VideoStream
    from av.container import OutputContainer

    from ..audio.waveform import Samples

_CODEC_TAGS = {"hevc": "hvc1"}
"""Apple's players take HEVC under this name only."""


def why_not_copied(shots: Sequence[Shot]) -> str:
    """Return why the frames of these shots cannot be copied into one stream, "" if they can."""
    first: tuple[object, ...] | None = None
    for number, shot in enumerate(shots, 1):
        facts = shot.facts
        if facts is None:
            return f"shot {number} is not a file"
        if facts.reasons_to_encode:
            return f"shot {number}: {facts.reasons_to_encode[0]}"
        timeline = facts.clock.timeline
        if timeline.counted or timeline.packets != len(timeline.ticks) or timeline.ticks[0] not in timeline.keys:
            return f"shot {number} does not begin with a key frame, or hides frames"
        if not facts.clock.constant or len({later - earlier for earlier, later in pairwise(timeline.ticks)}) > 1:
            return f"shot {number} has a variable frame rate"
        with opened(facts.source) as container:
            kind = _kind(video_stream(container, f"Shot {number}"), shot)
        first = first or kind
        if kind != first:
            return f"shot {number} has another size, rate, codec or encoder setting than shot 1"
    return ""


def _kind(stream: VideoStream, shot: Shot) -> tuple[object, ...]:
    """Return what must be equal in all shots. The extradata holds profile and settings of the codec."""
    context = stream.codec_context
    assert shot.facts is not None
    return (
        context.name,
        context.extradata,
        context.pix_fmt,
        (context.color_primaries, context.color_trc, context.colorspace, context.color_range),
        context.width,
        context.height,
        stream.time_base,
        shot.fps,
        shot.facts.orientation,
    )


def copy_shots(
    path: Path,
    shots: Sequence[Shot],
    form: FilmForm,
    *,
    fade_seconds: Fraction,
    cancelled: Cancelled | None,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    """Write a film out of the packets of its shots.

    Args:
        form: of the film; its size and rate are those of the shots.
        fade_seconds: of the audio at each cut.
        on_progress: called with frames done and frames in all.

    Raises:
        MediaCancelled, MediaError: see `files`.
    """
    import av

    done, total = 0, sum(_count(shot) for shot in shots)
    with ExitStack() as files:
        container = files.enter_context(av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}))
        stream = _add_stream(container, shots[0], files)
        audio = _FilmAudio(container, form.audio, fade_seconds) if form.audio is not None else None
        for shot in shots:
            start = done / form.fps
            if audio is not None:
                audio.begin_shot(shot, start + _count(shot) / form.fps)
            for packet in _packets(shot, stream, start):
                check_cancelled(cancelled)
                container.mux(packet)
                done += 1
                if audio is not None:
                    audio.write_until(done / form.fps)
                if on_progress is not None:
                    on_progress(done, total)
            if audio is not None:
                audio.end_shot()
        if audio is not None:
            audio.finish()


def _count(shot: Shot) -> int:
    assert shot.facts is not None
    return len(shot.facts.clock.timeline.ticks)


def _add_stream(container: OutputContainer, shot: Shot, files: ExitStack) -> VideoStream:
    """Add the video stream of the film: a copy of the first shot's, whose file must stay open meanwhile."""
    assert shot.facts is not None
    template = video_stream(files.enter_context(opened(shot.facts.source)), "Shot 1")
    stream: VideoStream = container.add_stream_from_template(template)
    tag = _CODEC_TAGS.get(template.codec_context.name)
    if tag is not None:
        stream.codec_context.codec_tag = tag
    stream.time_base = template.time_base
    return stream


def _packets(shot: Shot, stream: VideoStream, start: Fraction) -> Iterator[Packet[Any]]:
    """Yield the packets of a shot as packets of the film, in which the shot begins at `start`."""
    facts = shot.facts
    assert facts is not None
    with opened(facts.source) as container:
        source = video_stream(container, "The shot")
        shift = round(start / Fraction(source.time_base or 1)) - facts.clock.timeline.ticks[0]
        for packet in container.demux(source):
            if packet.size == 0 or packet.pts is None:
                continue
            packet.pts += shift
            packet.dts = packet.pts if packet.dts is None else packet.dts + shift
            packet.stream = stream
            yield packet


class _FilmAudio:
    """The audio of the film, in step with its frames. Times are seconds of the film."""

    def __init__(self, container: OutputContainer, audio: tuple[int, int], fade_seconds: Fraction) -> None:
        self._container, self._form = container, audio
        self._track = AacTrack(container, audio)
        self._lane = AudioLane(self._mux, audio[1], round(fade_seconds * audio[0]), overlapping=False)
        self._samples: Iterator[Samples] = iter(())

    def begin_shot(self, shot: Shot, end: Fraction) -> None:
        self._samples = shot.read_audio(self._form)
        self._lane.begin_shot(round(end * self._form[0]))

    def write_until(self, seconds: Fraction) -> None:
        """Write the samples up to a time, silence if there are none."""
        end = round(seconds * self._form[0])
        while self._lane.start + self._lane.count < end and (part := next(self._samples, None)) is not None:
            self._lane.add(part)
        self._lane.fill_to(end)

    def finish(self) -> None:
        self._lane.finish()
        for packet in self._track.finish():
            self._container.mux(packet)

    def end_shot(self) -> None:
        self._lane.end_shot()

    def _mux(self, samples: Samples) -> None:
        for packet in self._track.encode(samples):
            self._container.mux(packet)
