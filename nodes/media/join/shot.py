"""One shot of a film: frames and samples of any VIDEO in the form of the film."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..clip.audio_converter import AudioConverter
from ..clip.file_clip import FileClip
from ..clip.inspect import FileFacts, inspect_file
from ..clip.shape import Shaper
from ..clip.tensor_clip import TensorClip
from ..image.pixels import plane_of
from ..video.frame_clock import FrameClock, FramePacer
from ..video.rgb import StreamColors
from ..video.timeline import Timeline
from ..video.video_input import open_video
from ..video.video_object import file_of, trim_window

if TYPE_CHECKING:
    from av import VideoFrame

    from ..audio.waveform import Samples

_UNLIMITED = 10**9
_AS_IT_IS = np.float32(1)
"""Gain of the audio. Shots that are turned down one by one would jump in loudness."""
_BLACK = (16, 128, 128)
"""Y, U and V of black in limited range."""


@dataclass(frozen=True)
class FilmForm:
    """The form that all shots of a film get.

    Attributes:
        size: width and height, both even.
        audio: sample rate and channels (1 or 2), or None for a film without audio.
    """

    size: tuple[int, int]
    fps: Fraction
    audio: tuple[int, int] | None


class Shot:
    """A VIDEO as a shot. Raises MediaError if it cannot be read.

    Attributes:
        facts: of its file, None for frames in memory.
        size: width and height as it is seen.
        seconds: how long it is.
        audio: sample rate and channels (1 or 2), or None.
        damage: one sentence on what could not be read, "" for nothing. Known when `read` has finished.
    """

    def __init__(self, video: Any) -> None:
        source = file_of(video)
        self.facts: FileFacts | None = None if source is None else inspect_file(source, trim_window(video))
        self._tensors: TensorClip | None = None
        self.damage = ""
        if self.facts is not None:
            self.size, self.fps, self.audio = self.facts.size, self.facts.fps, self.facts.audio
            self.seconds = self.facts.seconds
        else:
            self._tensors = clip = TensorClip(video)
            self.size, self.fps, self.audio = clip.size, clip.fps, clip.audio_format
            self.seconds = clip.frames / clip.fps

    def frames_at(self, fps: Fraction) -> int:
        """Return how many frames the shot has at a rate."""
        return self._file_clip(fps).frames if self._tensors is None else self._tensor_clock(self._tensors, fps).count

    def read(self, form: FilmForm) -> Generator[VideoFrame | Samples, None, None]:
        """Yield frames (yuv420p) and samples in the form of the film. A repeated frame is the same object."""
        shaper = _Fitter(self, form.size)
        wanted = form.audio if self.audio is not None else None
        seen = shaped = None
        for part in self._parts(form.fps, wanted):
            if isinstance(part, np.ndarray):
                assert wanted is not None
                yield _with_channels(part, wanted[1])
            else:
                if part is not seen:
                    seen, shaped = part, shaper(part)
                assert shaped is not None
                yield shaped

    def read_audio(self, audio: tuple[int, int]) -> Iterator[Samples]:
        """Yield the samples alone. Only for a shot that is a whole file."""
        facts = self.facts
        if facts is None or self.audio is None:
            return
        track = AudioConverter(audio, facts.start, int(facts.seconds * audio[0]))
        with open_video(facts.source, clock=facts.clock) as video:
            for frame, _ in video.read(video=False):
                yield from track.add(frame)
                if track.full:
                    video.stop("audio")
        yield from track.finish()

    def _parts(self, fps: Fraction, audio: tuple[int, int] | None) -> Iterator[VideoFrame | Samples]:
        if self._tensors is None:
            clip = self._file_clip(fps)
            yield from clip.read(audio)
            self.damage = clip.damage
            return
        clock = self._tensor_clock(self._tensors, fps)
        pacer = FramePacer(clock, 0, clock.count)
        number = 0
        for part in self._tensors.read(audio):
            if isinstance(part, np.ndarray):
                yield part
            else:
                yield from (frame for frame, _ in pacer.add(part, clock.timeline.time(number)))
                number += 1
        yield from (frame for frame, _ in pacer.finish(fill=True))

    def _file_clip(self, fps: Fraction) -> FileClip:
        assert self.facts is not None
        facts = self.facts
        if fps != facts.fps:
            facts = replace(facts, clock=FrameClock(facts.clock.timeline, fps, constant=False))
        return FileClip(facts, "", 1, _UNLIMITED, gain=_AS_IT_IS)

    def _tensor_clock(self, clip: TensorClip, fps: Fraction) -> FrameClock:
        ticks = list(range(clip.frames))
        timeline = Timeline(1 / clip.fps, ticks, [], clip.frames / clip.fps, clip.frames, complete=True, counted=False)
        return FrameClock(timeline, fps, constant=fps == clip.fps)


class _Fitter:
    """Scales frames into the size of the film, with black bars if the aspect differs."""

    def __init__(self, shot: Shot, size: tuple[int, int]) -> None:
        width, height = shot.size
        self._size = size
        colors = shot.facts.colors if shot.facts is not None else StreamColors()
        self._whole = Shaper(size, colors).crops(width, height)
        scale = min(Fraction(size[0], width), Fraction(size[1], height))
        inside = size if self._whole else tuple(max(2, round(side * scale / 2) * 2) for side in (width, height))
        self._inside = (min(inside[0], size[0]), min(inside[1], size[1]))
        self._shaper = Shaper(self._inside, colors)

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        from av import VideoFrame as Frame

        shaped = self._shaper(frame)
        if self._inside == self._size:
            return shaped
        (width, height), (inner_width, inner_height) = self._size, self._inside
        left, top = ((outer - inner) // 4 * 2 for outer, inner in zip(self._size, self._inside, strict=True))
        result = Frame(width, height, "yuv420p")
        for index, black in enumerate(_BLACK):
            half = 2 if index else 1
            plane = plane_of(result, index, width // half, height // half)
            plane[...] = black
            source = plane_of(shaped, index, inner_width // half, inner_height // half)
            rows, columns = (
                slice(start // half, (start + inner) // half)
                for start, inner in ((top, inner_height), (left, inner_width))
            )
            plane[rows, columns] = source
        return result


def _with_channels(samples: Samples, channels: int) -> Samples:
    if samples.shape[0] == channels:
        return samples
    if channels == 1:
        mono: Samples = samples.mean(axis=0, keepdims=True, dtype=np.float32)
        return mono
    return np.repeat(samples, channels, axis=0)
