"""Joining of VIDEOs to one film."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ...core.errors import reason_of
from ..clip.writer import aac_rate
from ..decode.memory import MARGIN_BYTES, available_bytes
from ..files import Cancelled, MediaError, check_cancelled, removed_on_error
from .copy import CopyError, copy_shots, why_not_copied
from .encode import FilmEncoder
from .film import Film, FilmForm, JoinOptions, Seam
from .shot import Shot, naming

_ENCODER_FRAMES, _PER_OVERLAP = 90, 2
"""Frames of memory that decoding and encoding take, and that each frame of a crossfade takes. Seen at 1080p: 84, and
114 for a crossfade of 60 frames."""
_GIB = 1 << 30
_PREFIX = "wan27_film_"


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
    memory_limit: int | None = None,
) -> Film:
    """Write an mp4 of VIDEOs one after the other, and return what was done.

    If all shots are alike and nothing is to be changed, frames are copied without decoding. Otherwise all shots take
    the form of the first one and are encoded once: scaled into its size with black bars if need be, at its frame rate,
    and with the sample rate and channels of the first audio. Memory does not depend on the number of shots.

    Args:
        on_progress: called with frames done and frames in all.
        on_step: called with a few words on what begins.
        memory_limit: bytes that encoding may take, instead of what the system says is free.

    Raises:
        MediaError: a VIDEO cannot be read or is shorter than the crossfade; the film cannot be written, or its frames
            are too large for the memory.
        MediaCancelled: `cancelled` said so. Nothing is left at `path`.
    """
    import av

    try:
        with TemporaryDirectory(prefix=_PREFIX, dir=path.parent, ignore_cleanup_errors=True) as folder:
            shots = _shots(videos, Path(folder), cancelled, on_step)
            return _join(shots, path, options, cancelled, on_progress, on_step, memory_limit)
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"The film cannot be made: {reason_of(error)}.") from error


def _shots(
    videos: Sequence[Any], folder: Path, cancelled: Cancelled | None, on_step: Callable[[str], None]
) -> list[Shot]:
    shots = []
    for number, video in enumerate(videos, 1):
        check_cancelled(cancelled)
        on_step(f"Reading shot {number} of {len(videos)}")
        with naming(number, len(videos)):
            shots.append(Shot(video, folder, cancelled))
    return shots


def _join(
    shots: Sequence[Shot],
    path: Path,
    options: JoinOptions,
    cancelled: Cancelled | None,
    on_progress: Callable[[int, int], None],
    on_step: Callable[[str], None],
    memory_limit: int | None,
) -> Film:
    form = _form_of(shots)
    seconds = Fraction(options.crossfade_seconds).limit_denominator(10_000) if len(shots) > 1 else 0
    overlap = round(seconds * form.fps)
    _check_lengths(shots, form, overlap, options)
    film = Film(form, reason=(_why_encoded(options) if len(shots) > 1 else "") or why_not_copied(shots))
    with removed_on_error(path):
        if film.copied:
            on_step(f"Copying {len(shots)} shot{'s' * (len(shots) > 1)}")
            try:
                copy_shots(path, shots, form, cancelled=cancelled, on_progress=on_progress)
                film.frames = [shot.frames_at(form.fps) for shot in shots]
                film.seams = [Seam() for _ in shots[1:]]
            except CopyError as error:
                film.reason = f"copying the frames failed ({error})"
        if not film.copied:
            _check_memory(form, overlap, memory_limit)
            FilmEncoder(film, options, overlap, cancelled, on_progress, on_step).write(path, shots)
        check_cancelled(cancelled)
    film.total = sum(film.frames) - overlap * len(film.seams)
    film.notes = _notes(shots, film)
    return film


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
        if count < overlap + dropped:
            more = " and one more, as drop_repeated may leave one out" if dropped else ""
            raise MediaError(
                f"Shot {number} of {len(shots)} has {count} frames at {float(form.fps):.5g} fps. A crossfade of "
                f"{options.crossfade_seconds:g} s needs {overlap}{more}. Lower crossfade_seconds, or leave the shot "
                "out."
            )


def _check_memory(form: FilmForm, overlap: int, limit: int | None) -> None:
    """Raise MediaError if the frames that overlap, and those that the encoder holds, do not fit into memory."""
    available = available_bytes() if limit is None else limit
    needed = (_PER_OVERLAP * overlap + _ENCODER_FRAMES) * form.size[0] * form.size[1] * 3 // 2
    if available is not None and needed > available - MARGIN_BYTES:
        width, height = form.size
        raise MediaError(
            f"The film needs about {needed / _GIB:.1f} GiB for frames of {width}×{height} px, {overlap} of them for "
            f"the crossfade; {available / _GIB:.1f} GiB are free. Lower crossfade_seconds, or use smaller shots."
        )


def _why_encoded(options: JoinOptions) -> str:
    wanted = {
        "seam is drop_repeated": options.drop_repeated,
        "crossfade_seconds is above 0": options.crossfade_seconds > 0,
        "match_colors is to_previous": options.match_colors,
    }
    return next((reason for reason, holds in wanted.items() if holds), "")
