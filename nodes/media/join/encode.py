"""Encoding of shots as one film: decoded, conformed, joined at the seams and written, frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..clip.writer import ClipWriter
from ..files import Cancelled, check_cancelled
from .film import Film, JoinOptions, Seam
from .seams import CUT_FADE_SECONDS, RAMP_SECONDS, SEAM_FRAMES, AudioLane, ColorMatch, FrameLane, colors_of, repeats
from .shot import Shot, naming

if TYPE_CHECKING:
    from av import VideoFrame

    from ..audio.waveform import Samples
_PRESET, _CRF = "veryfast", 18
"""Close to visually lossless. Measured with two shots of 1080p, 2 s each, moving detail under film grain, 7.8 MB in
all: 8.0 MB with 47.5 dB for 10.4 s of processor time. superfast and crf 17, as for uploads: 19.1 MB, 49.3 dB, 8.5 s.
faster and crf 18: 8.2 MB, 48.1 dB, 14.7 s."""


class FilmEncoder:
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
        with ClipWriter(path, size=form.size, fps=form.fps, crf=_CRF, audio=form.audio, preset=_PRESET) as writer:
            frames = FrameLane(writer.write_frame, self._overlap)
            audio = self._audio_lane(writer)
            for number, shot in enumerate(shots, 1):
                self._on_step(f"Encoding shot {number} of {len(shots)}")
                with naming(number, len(shots)):
                    self._write_shot(shot, frames, audio)
            frames.finish()
            if audio is not None:
                audio.finish()

    def _audio_lane(self, writer: ClipWriter) -> AudioLane | None:
        if self._form.audio is None:
            return None
        fade = self._sample(self._overlap) or round(CUT_FADE_SECONDS * self._form.audio[0])
        return AudioLane(writer.write_audio, self._form.audio, fade, overlapping=self._overlap > 0)

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
            shot.note_silence(audio.end_shot())
        self._film.frames.append(number)

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
