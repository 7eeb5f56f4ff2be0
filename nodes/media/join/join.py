"""Joining of VIDEOs to one film."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from ..clip.writer import ClipWriter, aac_rate
from ..files import Cancelled, MediaError, check_cancelled
from ..video.container import plain
from .copy import CopyError, copy_shots, why_not_copied
from .seams import RAMP_SECONDS, SEAM_FRAMES, AudioLane, ColorMatch, FrameLane, colors_of, repeats
from .shot import FilmForm, Shot

if TYPE_CHECKING:
    from av import VideoFrame

    from ..audio.waveform import Samples

_FADE_SECONDS = Fraction(20, 1000)
"""Crossfade of the audio at a cut."""
_PREFIX = "wan27_film_"
_CRF = 17
"""Close to visually lossless, as for clips."""


@dataclass(frozen=True)
class JoinOptions:
    """What happens at the seams.

    Attributes:
        drop_repeated: leave out a first frame that repeats the last one of the shot before.
        crossfade_seconds: 0 is a cut.
        match_colors: bring each shot to the colors of the one before at the seam.
    """

    drop_repeated: bool = False
    crossfade_seconds: float = 0.0
    match_colors: bool = False


@dataclass
class Seam:
    """What was found and done at one seam.

    Attributes:
        dropped: whether the first frame after it was left out.
        color_step: how far the mean colors on both sides are apart, in 8-bit steps, before and after matching. None if
            they were not matched.
    """

    dropped: bool = False
    color_step: tuple[float, float] | None = None


@dataclass
class Film:
    """A finished film.

    Attributes:
        frames: of each shot, as it is in the film; shots that overlap both count the frames they share.
        reason: why the frames were encoded, "" if they were copied.
        notes: a sentence for each thing that is not in the film as it is in a shot, and for damage.
    """

    form: FilmForm
    frames: list[int] = field(default_factory=list)
    seams: list[Seam] = field(default_factory=list)
    total: int = 0
    reason: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def copied(self) -> bool:
        """Whether the frames were copied instead of encoded."""
        return not self.reason

    @property
    def seconds(self) -> Fraction:
        """Length of the film."""
        return self.total / self.form.fps


def _ignore(*_: object) -> None:
    pass


def join_videos(
    videos: Sequence[Any],
    path: Path,
    options: JoinOptions,
    *,
    cancelled: Cancelled | None = None,
    on_progress: Callable[[int, int], None] = _ignore,
    on_step: Callable[[str], None] = _ignore,
) -> Film:
    """Write an mp4 of VIDEOs one after the other, and return what was done.

    If all shots are alike and nothing is to be changed, frames are copied without decoding. Otherwise all shots take
    the form of the first one and are encoded once: scaled into its size with black bars if need be, at its frame rate,
    and with the sample rate and channels of the first audio. Memory does not depend on the number of shots.

    Args:
        on_progress: called with frames done and frames in all.
        on_step: called with a sentence on what begins.

    Raises:
        MediaError: a VIDEO cannot be read, or is shorter than the crossfade, or the film cannot be written.
        MediaCancelled: `cancelled` said so. Nothing is left at `path`.
    """
    import av

    try:
        with TemporaryDirectory(prefix=_PREFIX, dir=path.parent, ignore_cleanup_errors=True) as folder:
            shots = _shots(videos, Path(folder), cancelled, on_step)
            return _join(shots, path, options, cancelled, on_progress, on_step)
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"The film cannot be made: {plain(error)}.") from error


def _shots(
    videos: Sequence[Any], folder: Path, cancelled: Cancelled | None, on_step: Callable[[str], None]
) -> list[Shot]:
    shots = []
    for number, video in enumerate(videos, 1):
        check_cancelled(cancelled)
        on_step(f"Reading shot {number} of {len(videos)}")
        with _naming(number, len(videos)):
            shots.append(Shot(video, folder, cancelled))
    return shots


def _join(
    shots: Sequence[Shot],
    path: Path,
    options: JoinOptions,
    cancelled: Cancelled | None,
    on_progress: Callable[[int, int], None],
    on_step: Callable[[str], None],
) -> Film:
    form = _form_of(shots)
    overlap = round(Fraction(options.crossfade_seconds).limit_denominator(10_000) * form.fps)
    _check_lengths(shots, form, overlap, options)
    film = Film(form, reason=(_why_encoded(options) if len(shots) > 1 else "") or why_not_copied(shots))
    try:
        if film.copied:
            on_step(f"Copying {len(shots)} shots")
            try:
                copy_shots(path, shots, form, fade_seconds=_FADE_SECONDS, cancelled=cancelled, on_progress=on_progress)
                film.frames = [shot.frames_at(form.fps) for shot in shots]
                film.seams = [Seam() for _ in shots[1:]]
            except CopyError as error:
                film.reason = f"copying the frames failed ({error})"
        if not film.copied:
            _Encoder(film, options, overlap, cancelled, on_progress, on_step).write(path, shots)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    film.total = sum(film.frames) - overlap * len(film.seams)
    film.notes = _notes(shots, film)
    return film


@contextmanager
def _naming(number: int, count: int) -> Iterator[None]:
    """Say in a MediaError which shot it is about."""
    try:
        yield
    except MediaError as error:
        raise MediaError(f"Shot {number} of {count}: {error}") from error


def _form_of(shots: Sequence[Shot]) -> FilmForm:
    width, height = (max(2, side // 2 * 2) for side in shots[0].size)
    audio = next((shot.audio for shot in shots if shot.audio is not None), None)
    gain = 1 / max(1.0, *(shot.loudest for shot in shots))
    return FilmForm((width, height), shots[0].fps, (aac_rate(audio[0]), audio[1]) if audio is not None else None, gain)


def _notes(shots: Sequence[Shot], film: Film) -> list[str]:
    notes = []
    for number, shot in enumerate(shots, 1):
        silent = ["It is silent: it has no audio."] if film.form.audio is not None and shot.audio is None else []
        found = (*shot.changes(film.form, copied=film.copied), *silent, *shot.notes)
        notes += [f"Shot {number}: {note[0].lower()}{note[1:]}" for note in found]
    if film.form.gain < 1:
        notes.append(
            f"All audio was turned down by {-20 * math.log10(film.form.gain):.1f} dB: a shot is above full scale."
        )
    return notes


def _check_lengths(shots: Sequence[Shot], form: FilmForm, overlap: int, options: JoinOptions) -> None:
    """Raise MediaError for a shot that is shorter than what its neighbors share with it."""
    for number, shot in enumerate(shots, 1):
        dropped = int(options.drop_repeated and number > 1)
        count = shot.frames_at(form.fps)
        if len(shots) > 1 and count < overlap + dropped:
            more = " and one more, as drop_repeated may leave one out" if dropped else ""
            raise MediaError(
                f"Shot {number} of {len(shots)} has {count} frames at {float(form.fps):.5g} fps. A crossfade of "
                f"{options.crossfade_seconds:g} s needs {overlap}{more}. Lower crossfade_seconds, or leave the shot "
                "out."
            )


def _why_encoded(options: JoinOptions) -> str:
    wanted = {
        "seam is drop_repeated": options.drop_repeated,
        "crossfade_seconds is above 0": options.crossfade_seconds > 0,
        "match_colors is to_previous": options.match_colors,
    }
    return next((reason for reason, holds in wanted.items() if holds), "")


class _Encoder:
    """Decodes shot after shot and encodes them as one film."""

    def __init__(
        self,
        film: Film,
        options: JoinOptions,
        overlap: int,
        cancelled: Cancelled | None,
        on_progress: Callable[[int, int], None],
        on_step: Callable[[str], None],
    ) -> None:
        self._film, self._form, self._options, self._overlap = film, film.form, options, overlap
        self._cancelled, self._on_progress, self._on_step = cancelled, on_progress, on_step
        self._done = self._total = 0
        self._last: deque[VideoFrame] = deque(maxlen=SEAM_FRAMES)
        """The last frames of the shot before, as they are in the film apart from a crossfade."""

    def write(self, path: Path, shots: Sequence[Shot]) -> None:
        form = self._form
        self._total = sum(shot.frames_at(form.fps) for shot in shots)
        with ClipWriter(path, size=form.size, fps=form.fps, crf=_CRF, audio=form.audio) as writer:
            frames = FrameLane(writer.write_frame, self._overlap)
            audio = self._audio_lane(writer)
            for number, shot in enumerate(shots, 1):
                self._on_step(f"Encoding shot {number} of {len(shots)}")
                with _naming(number, len(shots)):
                    self._write_shot(shot, frames, audio)
            frames.finish()
            if audio is not None:
                audio.finish()

    def _audio_lane(self, writer: ClipWriter) -> AudioLane | None:
        if self._form.audio is None:
            return None
        fade = self._sample(self._overlap) or round(_FADE_SECONDS * self._form.audio[0])
        return AudioLane(writer.write_audio, self._form.audio[1], fade, overlapping=self._overlap > 0)

    def _sample(self, frames: int) -> int:
        """Return the sample of the film at which a frame begins."""
        return round(frames / self._form.fps * self._form.audio[0]) if self._form.audio is not None else 0

    def _write_shot(self, shot: Shot, frames: FrameLane, audio: AudioLane | None) -> None:
        begin = sum(self._film.frames) - self._overlap * len(self._film.frames)
        with closing(shot.read(self._form)) as parts:
            head = self._head(parts)
            seam, match = self._meet([part for part in head if not isinstance(part, np.ndarray)], shot)
            count = shot.frames_at(self._form.fps) - seam.dropped
            if audio is not None:
                audio.begin_shot(self._sample(begin + count))
            self._last.clear()
            unheard, number = self._sample(int(seam.dropped)), -int(seam.dropped)
            for part in chain(head, parts):
                check_cancelled(self._cancelled)
                if isinstance(part, np.ndarray):
                    if audio is not None:
                        audio.add(part[:, unheard:])
                        unheard = max(0, unheard - part.shape[1])
                    continue
                if number >= 0:
                    frame = part if match is None else match(part, number)
                    self._last.append(frame)
                    frames.add(frame)
                number += 1
                if audio is not None and shot.audio is None:
                    audio.fill_to(self._sample(begin + number))
                self._progress()
        frames.end_shot()
        if audio is not None:
            audio.end_shot()
        self._film.frames.append(count)

    def _head(self, parts: Iterator[VideoFrame | Samples]) -> list[VideoFrame | Samples]:
        """Return what a shot begins with, as much as is needed to compare it with the shot before."""
        needed = SEAM_FRAMES if self._last and (self._options.drop_repeated or self._options.match_colors) else 0
        head: list[VideoFrame | Samples] = []
        while needed > 0 and (part := next(parts, None)) is not None:
            head.append(part)
            needed -= not isinstance(part, np.ndarray)
        return head

    def _meet(self, head: list[VideoFrame], shot: Shot) -> tuple[Seam, ColorMatch | None]:
        """Compare the first frames of a shot with the last ones of the shot before, and record the seam."""
        if not self._film.frames:
            return Seam(), None
        seam = Seam(dropped=self._options.drop_repeated and len(head) > 1 and repeats(list(self._last), head))
        self._film.seams.append(seam)
        if not self._options.match_colors:
            return seam, None
        head = head[int(seam.dropped) :] or head
        ramp = min(shot.frames_at(self._form.fps) - seam.dropped, round(RAMP_SECONDS * self._form.fps))
        match = ColorMatch(colors_of(self._last), colors_of(head), max(1, ramp))
        matched = colors_of(match(frame, number) for number, frame in enumerate(head))
        seam.color_step = match.step, float(np.abs(matched[0] - match.before[0]).max())
        return seam, match

    def _progress(self) -> None:
        self._done += 1
        self._on_progress(self._done, self._total)
