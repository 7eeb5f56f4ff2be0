"""One shot of a film: frames and samples of any VIDEO in the form of the film."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..audio.waveform import with_channels
from ..clip.file_clip import FileClip
from ..clip.inspect import FileFacts, inspect_file
from ..clip.shape import Shaper
from ..clip.tensor_clip import TensorClip
from ..files import Cancelled, MediaError, sentences
from ..image.pixels import plane_of
from ..video.frame_clock import FrameClock, FramePacer
from ..video.rgb import StreamColors
from ..video.timeline import Timeline
from ..video.video_object import file_of, trim_window
from .film import FilmForm

if TYPE_CHECKING:
    from av import VideoFrame

    from ..audio.waveform import Samples

_UNLIMITED = 10**9
_UNCHANGED = np.float32(1)
_BLACK = (16, 128, 128)
"""Y, U and V of black in limited range."""


@contextmanager
def naming(number: int, count: int) -> Iterator[None]:
    """Say in a MediaError which shot it is about."""
    try:
        yield
    except MediaError as error:
        raise MediaError(f"Shot {number} of {count}: {error}") from error


class Shot:
    """A VIDEO as a shot. Raises MediaError if it cannot be read, MediaCancelled if `cancelled` says so.

    Nothing of it stays in memory. A VIDEO without a file, such as a cropped one, is asked for its frames twice: here
    and by `read`. A file in memory is written to `folder`.

    Attributes:
        facts: of its file, None for frames in memory.
        size: width and height as it is seen.
        seconds: how long it is.
        audio: sample rate and channels (1 or 2), or None.
        loudest: absolute value of the loudest sample, if the audio is in memory; else 0.
        notes: a sentence for each thing that is not as it could be expected, such as damage. Complete when `read` or
            `read_audio` has finished.
    """

    def __init__(self, video: Any, folder: Path, cancelled: Cancelled | None = None) -> None:
        self._video, self._cancelled = video, cancelled
        self.facts: FileFacts | None = None
        source = file_of(video)
        if source is None:
            clip = TensorClip(video)
            self.size, self.fps, self.audio, self._frames = clip.size, clip.fps, clip.audio_format, clip.frames
            self.seconds, self.loudest = clip.frames / clip.fps, clip.loudest()
            self.notes = list(clip.notes)
            return
        self.facts = facts = inspect_file(source, trim_window(video), cancelled)
        if isinstance(source, BytesIO):
            path = folder / secrets.token_hex(8)
            path.write_bytes(source.getbuffer())
            self.facts = replace(facts, source=path)
        self.size, self.fps, self.audio = facts.size, facts.fps, facts.audio
        self.seconds, self.loudest = facts.seconds, 0.0
        self.notes = list(facts.notes)

    def frames_at(self, fps: Fraction) -> int:
        """Return how many frames the shot has at a rate: at one that is not its own, as many as fill its time.

        A trimmed file can have one less, as only frames that begin inside the trimmed part count.
        """
        most = self._frames if self.facts is None else self._file_clip(self.facts, fps).frames
        if fps == self.fps and (self.facts is None or self.facts.clock.constant):
            return most
        fitting = max(1, round(self.seconds * fps))
        return fitting if self.facts is None else min(most, fitting)

    def changes(self, form: FilmForm, *, copied: bool) -> tuple[str, ...]:
        """Return a sentence for each thing that was done to its frames, other than encoding."""
        if copied:
            return ()
        changes = []
        if not _is_whole(self.size, form.size):
            bars = "" if _inside(self.size, form.size) == form.size else ", with black bars"
            changes.append("scaled from {}×{} to {}×{} px".format(*self.size, *form.size) + bars)
        if self.fps != form.fps:
            changes.append(f"{float(self.fps):.5g} frames per second become {float(form.fps):.5g}")
        if self.facts is not None and self.facts.colors.conversion:
            changes.append(f"converted {self.facts.colors.conversion}")
        return sentences(changes)

    def read(self, form: FilmForm) -> Generator[VideoFrame | Samples, None, None]:
        """Yield frames (yuv420p) and samples in the form of the film. A repeated frame is the same object."""
        shaper = _Fitter(self, form.size)
        wanted = form.audio if self.audio is not None else None
        seen = shaped = None
        missing = self.frames_at(form.fps)
        for part in self._parts(form.fps, wanted, np.float32(form.gain)):
            if isinstance(part, np.ndarray):
                assert wanted is not None
                yield with_channels(part, wanted[1])
            elif missing > 0:
                missing -= 1
                if part is not seen:
                    seen, shaped = part, shaper(part)
                assert shaped is not None
                yield shaped
        if shaper.found_transparency:
            self._note("Transparent parts are shown on white.")

    def read_audio(self, audio: tuple[int, int]) -> Iterator[Samples]:
        """Yield the samples of the file alone, as loud as they are there."""
        if self.facts is None or self.audio is None:
            return
        clip = self._file_clip(self.facts, self.fps)
        yield from clip.read_audio(audio)
        self._note(clip.damage)

    def _parts(self, fps: Fraction, audio: tuple[int, int] | None, gain: np.float32) -> Iterator[VideoFrame | Samples]:
        if self.facts is not None:
            clip = self._file_clip(self.facts, fps, gain)
            yield from clip.read(audio)
            self._note(clip.damage)
            return
        clock = self._tensor_clock(fps)
        pacer = FramePacer(clock, 0, clock.count)
        number = 0
        for part in TensorClip(self._video, gain=gain, hashed=False).read(audio):
            if isinstance(part, np.ndarray):
                yield part
            else:
                yield from (frame for frame, _ in pacer.add(part, clock.timeline.time(number)))
                number += 1
        yield from (frame for frame, _ in pacer.finish(fill=True))

    def note_silence(self, seconds: Fraction) -> None:
        """Note that its audio ends that long before its frames do."""
        if seconds > 0 and self.audio is not None:
            self._note(f"Its audio ends {float(seconds):.2f} s before its frames; the rest is silent.")

    def _note(self, note: str) -> None:
        if note and note not in self.notes:
            self.notes.append(note)

    def _file_clip(self, facts: FileFacts, fps: Fraction, gain: np.float32 = _UNCHANGED) -> FileClip:
        if fps != facts.fps:
            facts = replace(facts, clock=FrameClock(facts.clock.timeline, fps, constant=False))
        return FileClip(facts, "", 1, _UNLIMITED, gain=gain, cancelled=self._cancelled)

    def _tensor_clock(self, fps: Fraction) -> FrameClock:
        count = self._frames
        timeline = Timeline(1 / self.fps, list(range(count)), [], self.seconds, count, complete=True, counted=False)
        return FrameClock(timeline, fps, constant=fps == self.fps)


class _Fitter:
    """Scales frames into the size of the film, with black bars if the aspect differs."""

    def __init__(self, shot: Shot, size: tuple[int, int]) -> None:
        self._size, self._inside = size, _inside(shot.size, size)
        colors = shot.facts.colors if shot.facts is not None else StreamColors()
        self._shaper = Shaper(self._inside, colors)

    @property
    def found_transparency(self) -> bool:
        return self._shaper.found_transparency

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


def _is_whole(shown: tuple[int, int], size: tuple[int, int]) -> bool:
    """Return whether frames have that size already, or an odd row or column too much."""
    return all(own - wanted in (0, 1) for own, wanted in zip(shown, size, strict=True))


def _inside(shown: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return the even size that frames get to fit into that of the film."""
    if _is_whole(shown, size):
        return size
    scale = min(Fraction(wanted, own) for own, wanted in zip(shown, size, strict=True))
    width, height = (min(wanted, max(2, round(own * scale / 2) * 2)) for own, wanted in zip(shown, size, strict=True))
    return width, height
