"""A VIDEO to an mp4 or mov file inside the limits: as it is where it is inside already, else encoded once."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core.limits import ClipBounds
from ..content_hash import content_of_file
from ..files import MediaCancelled, MediaError, MediaFile, describe, megabytes, new_path, open_binary, sha256_of
from ..image.pixels import check_aspect
from .file_clip import FileClip
from .inspect import FileFacts, inspect_file
from .shape import Shape, Shaper, inside, target_size
from .source import ClipSource, TensorClip, file_of, trim_window
from .tags import blank_tags, short_list
from .writer import ClipWriter, aac_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

OnLimit = Literal["fit", "error"]
Cancelled = Callable[[], bool]
Progress = Callable[[int, int], None]

_BEST_CRF, _WORST_CRF = 17, 40
_CLOCK = Fraction(1, 1000)
"""Containers round times to their own clock; a limit is not passed by less than this."""
_RESERVE = 0.995
"""Of the largest size: the rest is for the index."""


def encode_clip(
    video: Any,
    bounds: ClipBounds,
    *,
    directory: Path,
    on_limit: OnLimit = "fit",
    cancelled: Cancelled | None = None,
    on_progress: Progress | None = None,
) -> MediaFile:
    """The file of a VIDEO to be sent, inside `bounds`.

    An H.264 or HEVC mp4 or mov inside the limits is given back byte for byte; where it has tags that tell something, as
    ComfyUI's Save Video puts the graph in, a copy with these blanked. Anything else is encoded once, frame by frame:
    H.264 yuv420p tagged bt709, constant rate, even sides, AAC. on_limit fit keeps the last `max_seconds`, scales into
    the limits and lowers the quality as far as the size asks for, and says so in `notes`; error refuses. Frames in
    memory are no file yet, so they are encoded in both modes. on_progress gets frames done and frames in all.

    Raises MediaError (also for fit: too short, an aspect beyond the limit, no video stream, NaN) and MediaCancelled.
    """
    if on_limit not in ("fit", "error"):
        raise MediaError(f"on_limit is {on_limit!r}; it must be fit or error.")
    source = file_of(video)
    if source is None:
        clip = TensorClip.of(video)
        seconds = Fraction(clip.frames) / clip.fps
        _refuse_hopeless(clip.size, seconds, bounds)
        problems = _problems(clip.size, seconds, bounds)
        _refuse(problems, on_limit)
        clip.frames = min(clip.frames, _most_frames(clip.fps, bounds))
        clip.cut_off = seconds - clip.frames / clip.fps
        return _encode(clip, bounds, directory, _notes(problems), cancelled, on_progress)
    trim = trim_window(video)
    facts = inspect_file(source, trim)
    _refuse_hopeless(facts.size, facts.seconds, bounds)
    problems = _problems(facts.size, facts.seconds, bounds, shortest=facts.shortest, longest=facts.longest)
    if facts.byte_size > bounds.max_bytes:
        problems.append(f"it takes {megabytes(facts.byte_size)}, the limit is {megabytes(bounds.max_bytes)}")
    reasons = problems + facts.reasons_to_encode
    _refuse(reasons, on_limit)
    if not reasons:
        if (file := _as_it_is(facts, directory)) is not None:
            return file
        reasons = [f"its tags ({short_list(facts.tags)}) cannot be removed"]
        _refuse(reasons, on_limit)
    content = content_of_file(source, trim, cancelled)
    return _encode(_kept_part(facts, bounds, content), bounds, directory, _notes(reasons), cancelled, on_progress)


def _problems(
    size: tuple[int, int],
    seconds: Fraction,
    bounds: ClipBounds,
    *,
    shortest: Fraction | None = None,
    longest: Fraction | None = None,
) -> list[str]:
    """Which limits it is outside of, that fit can mend. shortest, longest: what readers can take its length for."""
    found = []
    shortest, longest = shortest or seconds, longest or seconds
    if shortest < Fraction(bounds.min_seconds) - _CLOCK:
        found.append(f"its file says {float(shortest):.6g} s, at least {bounds.min_seconds:g} s are needed")
    if longest > Fraction(bounds.max_seconds) + _CLOCK:
        found.append(f"it lasts {float(longest):.6g} s, the limit is {bounds.max_seconds:g} s")
    if not inside(*size, bounds):
        found.append(f"it is {size[0]}×{size[1]} px, both sides must be {bounds.min_side} to {bounds.max_side} px")
    return found


def _refuse_hopeless(size: tuple[int, int], seconds: Fraction, bounds: ClipBounds) -> None:
    """Raise for what no fit can mend."""
    if seconds < Fraction(bounds.min_seconds) - _CLOCK:
        raise MediaError(
            f"The clip lasts {float(seconds):.6g} s; at least {bounds.min_seconds:g} s are needed. Take a longer one."
        )
    check_aspect(*size, bounds.max_aspect, name="The clip")


def _refuse(reasons: Sequence[str], on_limit: str) -> None:
    """Raise for what would have to be mended, where that is not wanted."""
    if reasons and on_limit == "error":
        raise MediaError(f"The clip cannot be sent as it is: {'; '.join(reasons)}. Change it, or set on_limit to fit.")


def _notes(reasons: Sequence[str]) -> list[str]:
    return [f"Clip encoded: {'; '.join(reasons)}."] if reasons else []


def _as_it_is(facts: FileFacts, directory: Path) -> MediaFile | None:
    """The user's own file, or a copy of the bytes where it has none or has tags; None where these stick to it."""
    width, height = facts.size
    describe_it = partial(describe, extension=facts.extension, width=width, height=height, seconds=float(facts.seconds))
    if isinstance(facts.source, Path) and not facts.tags:
        return describe_it(facts.source)
    path = new_path(directory, facts.extension)
    with open_binary(facts.source) as source, path.open("wb") as file:
        shutil.copyfileobj(source, file)
    if not facts.tags:
        return describe_it(path)
    if not blank_tags(path):
        path.unlink()
        return None
    note = f"Clip sent without its tags ({short_list(facts.tags)}); pictures and sound are as they were."
    return describe_it(path, content=sha256_of(facts.source), notes=(note,))


def _most_frames(fps: Fraction, bounds: ClipBounds) -> int:
    return max(1, math.floor(Fraction(bounds.max_seconds) * fps))


def _kept_part(facts: FileFacts, bounds: ClipBounds, content: str) -> FileClip:
    """The last seconds of the file, as a whole number of frames that end where the file ends."""
    frames = min(round((facts.end - facts.start) * facts.fps), _most_frames(facts.fps, bounds))
    least = math.ceil(Fraction(bounds.min_seconds) * facts.fps)
    frames = max(frames, least)  # rounding must not make it too short
    start = max(facts.start, facts.end - frames / facts.fps)
    cut_off = start - facts.start
    return FileClip(facts.source, facts.size, facts.rotation, facts.fps, start, frames, facts.sound, content, cut_off)


def _encode(
    clip: ClipSource,
    bounds: ClipBounds,
    directory: Path,
    notes: list[str],
    cancelled: Cancelled | None,
    on_progress: Progress | None,
) -> MediaFile:
    """Encode, with less quality each time, until it fits into the size."""
    size = target_size(*clip.size, bounds)
    shape = Shape(size, clip.rotation)
    if size != clip.size:
        change = "cropped" if shape.cuts(*clip.size) else "scaled"
        notes.append(f"Clip {change} from {clip.size[0]}×{clip.size[1]} to {size[0]}×{size[1]} px.")
    seconds = clip.frames / clip.fps
    if clip.cut_off > _CLOCK:
        notes.append(f"Clip cut to its last {float(seconds):.4g} s; the video goes on from the end.")
    crf = _BEST_CRF
    while True:
        path = new_path(directory, "mp4")
        try:
            excess = _write(path, clip, shape, crf, bounds.max_bytes, cancelled, on_progress)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        if excess <= 1:
            break
        path.unlink()
        if crf == _WORST_CRF:
            raise MediaError(
                f"The clip does not fit into {megabytes(bounds.max_bytes)} at {size[0]}×{size[1]} px and "
                f"{float(seconds):.3g} s. Scale it down or take a shorter part."
            )
        # 6 steps of crf halve the size, about.
        crf = min(_WORST_CRF, crf + max(1, math.ceil(6 * math.log2(excess * 1.05))))
    if crf != _BEST_CRF:
        notes.append(
            f"Clip encoded with crf {crf} instead of {_BEST_CRF}, to stay under {megabytes(bounds.max_bytes)}."
        )
    if clip.damage:
        notes.append(clip.damage)
    return describe(
        path,
        content=clip.content,
        width=size[0],
        height=size[1],
        seconds=float(seconds),
        notes=tuple(notes),
    )


def _write(
    path: Path,
    clip: ClipSource,
    shape: Shape,
    crf: int,
    max_bytes: int,
    cancelled: Cancelled | None,
    on_progress: Progress | None,
) -> float:
    """Write the file. Gives back by what factor it is, or would have become, too large; up to 1 is fine."""
    sound = (aac_rate(clip.sound[0]), clip.sound[1]) if clip.sound else None
    shaper = Shaper(shape)
    source_frame = shaped = None
    done = 0
    with (
        closing(clip.read(sound)) as parts,
        ClipWriter(path, size=shape.size, fps=clip.fps, crf=crf, sound=sound) as writer,
    ):
        for part in parts:
            if cancelled is not None and cancelled():
                raise MediaCancelled
            if isinstance(part, np.ndarray):
                writer.write_sound(part)
                continue
            if part is not source_frame:
                source_frame, shaped = part, shaper(part)
            assert shaped is not None
            writer.write_frame(shaped)
            done += 1
            if on_progress is not None:
                on_progress(done, clip.frames)
            if writer.bytes_written > max_bytes * _RESERVE:
                return max(1.01, writer.bytes_written / max_bytes * clip.frames / done)
    return path.stat().st_size / max_bytes
