"""Encoding of a VIDEO to an mp4 inside the limits. A file that is inside already is sent as it is."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...core.disk import remove
from ...core.limits import ClipBounds, OnLimit
from ..content_hash import content_of_file
from ..files import (
    Cancelled,
    MediaError,
    MediaFile,
    check_cancelled,
    describe,
    megabytes,
    new_path,
    open_binary,
    removed_on_error,
    sha256_of,
)
from ..image.pixels import check_aspect, sides_inside
from ..video.video_object import file_of, trim_window
from .file_clip import FileClip
from .inspect import FileFacts, inspect_file
from .shape import Shaper, target_size
from .tags import blank, find_private, names_of
from .tensor_clip import TensorClip
from .writer import ClipWriter, aac_rate

_BEST_CRF, _WORST_CRF = 17, 40
_CLOCK = Fraction(1, 1000)
"""Containers round times to their own clock; a limit is not passed by less than this."""
_RESERVE = 0.995
"""Share of the size limit that frames and audio may take: the rest is for the index."""


@dataclass
class _Job:
    """One upload: where the file goes, what it must comply with, and what was done to make it."""

    bounds: ClipBounds
    directory: Path
    strict: bool
    cancelled: Cancelled | None
    on_progress: Callable[[int, int], None] | None
    notes: list[str] = field(default_factory=list)

    def must_encode(self, reasons: Sequence[str]) -> None:
        """Note why a clip is encoded, if there is a reason. Raises MediaError instead if on_limit is error."""
        if reasons and self.strict:
            raise MediaError(
                f"The clip cannot be sent as it is: {'; '.join(reasons)}. Change it, or set on_limit to fit."
            )
        if reasons:
            self.notes.append(f"Clip encoded: {'; '.join(reasons)}.")

    def most_frames(self, fps: Fraction) -> int:
        return max(1, math.floor(Fraction(self.bounds.max_seconds) * fps))


def encode_clip(
    video: Any,
    bounds: ClipBounds,
    *,
    directory: Path,
    on_limit: OnLimit = "fit",
    cancelled: Cancelled | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> MediaFile:
    """Return a file of a VIDEO that is inside `bounds`.

    An H.264 or HEVC mp4 or mov inside the limits is returned byte for byte. If it has tags that may be private, such as
    the graph that ComfyUI's Save Video writes, the file is a copy with these blanked. Anything else is encoded once,
    frame by frame: H.264 yuv420p tagged bt709, constant rate, even sides, AAC.

    Args:
        on_limit: fit keeps the last `max_seconds`, scales into the limits and lowers the quality as far as the size
            requires, and says so in `notes`; error refuses. Frames in memory are not a file yet, so they are encoded in
            both modes.
        on_progress: called with frames done and frames in all.

    Raises:
        MediaError: also for fit if the clip is too short, has no video stream or an aspect beyond the limit, or holds
            NaN.
    """
    job = _Job(bounds, directory, on_limit == "error", cancelled, on_progress)
    source = file_of(video)
    if source is None:
        clip = TensorClip(video)
        seconds = Fraction(clip.frames) / clip.fps
        job.must_encode(_problems(clip.size, seconds, bounds))
        clip.frames = min(clip.frames, job.most_frames(clip.fps))
        clip.cut_off = seconds - clip.frames / clip.fps
        return _encode(clip, job)
    trim = trim_window(video)
    facts = inspect_file(source, trim, job.cancelled)
    problems = _problems(facts.size, facts.seconds, bounds, facts.shortest, facts.longest)
    if facts.byte_size > bounds.max_bytes:
        problems.append(f"it takes {megabytes(facts.byte_size)}, the limit is {megabytes(bounds.max_bytes)}")
    reasons = problems + facts.reasons_to_encode
    job.must_encode(reasons)
    if not reasons:
        try:
            return _as_it_is(facts, directory)
        except MediaError as error:
            job.must_encode([f"its tags cannot be removed ({error})"])
    most = job.most_frames(facts.fps)
    least = math.ceil(Fraction(bounds.min_seconds) * facts.fps)  # rounding must not make it too short
    content = content_of_file(source, trim, cancelled)
    return _encode(FileClip(facts, content, least, most, cancelled=cancelled), job)


def _problems(
    size: tuple[int, int],
    seconds: Fraction,
    bounds: ClipBounds,
    shortest: Fraction | None = None,
    longest: Fraction | None = None,
) -> list[str]:
    """Return the limits that a clip is outside of and that fit can bring it into.

    `shortest` and `longest` are the lengths that readers may report for it. Raises MediaError if it is too short or its
    aspect is beyond the limit, which fit cannot change.
    """
    if seconds < Fraction(bounds.min_seconds) - _CLOCK:
        raise MediaError(
            f"The clip lasts {float(seconds):.6g} s; at least {bounds.min_seconds:g} s are needed. Take a longer one."
        )
    check_aspect(*size, bounds.max_aspect, name="The clip")
    shortest, longest = shortest or seconds, longest or seconds
    found = []
    if shortest < Fraction(bounds.min_seconds) - _CLOCK:
        found.append(f"its file says {float(shortest):.6g} s, at least {bounds.min_seconds:g} s are needed")
    if longest > Fraction(bounds.max_seconds) + _CLOCK:
        found.append(f"it lasts {float(longest):.6g} s, the limit is {bounds.max_seconds:g} s")
    if not sides_inside(*size, bounds):
        found.append(f"it is {size[0]}×{size[1]} px, both sides must be {bounds.min_side} to {bounds.max_side} px")
    return found


def _as_it_is(facts: FileFacts, directory: Path) -> MediaFile:
    """Return the user's own file, or a copy if it is in memory or if something in it is blanked.

    Raises MediaError if what may be private cannot be blanked.
    """
    file_at = partial(describe, extension=facts.extension, seconds=float(facts.seconds))
    private = find_private(facts.source)
    if facts.tags and not private:  # FFmpeg has found them somewhere else
        raise MediaError(names_of((), facts.tags))
    if isinstance(facts.source, Path) and not private:
        return file_at(facts.source)
    path = new_path(directory, facts.extension)
    with removed_on_error(path):
        with open_binary(facts.source) as source, path.open("wb") as file:
            shutil.copyfileobj(source, file)
        if not private:
            return file_at(path)
        names = names_of(private, facts.tags)
        if not blank(path, private, facts.source):
            raise MediaError(names)
    note = f"Clip sent without its tags ({names}); frames and audio are unchanged."
    return file_at(path, content=sha256_of(facts.source), notes=(note,))


def _encode(clip: TensorClip | FileClip, job: _Job) -> MediaFile:
    """Encode, with less quality each time, until it fits into the size."""
    (width, height), most = target_size(*clip.size, job.bounds), megabytes(job.bounds.max_bytes)
    shaper = Shaper((width, height), clip.colors)
    if (width, height) != clip.size:
        change = "cropped" if shaper.crops(*clip.size) else "scaled"
        job.notes.append(f"Clip {change} from {clip.size[0]}×{clip.size[1]} to {width}×{height} px.")
    seconds = float(clip.frames / clip.fps)
    if clip.cut_off > _CLOCK:
        job.notes.append(f"Clip cut to its last {seconds:.4g} s; the video continues from the end.")
    job.notes.extend(clip.notes)
    crf = _BEST_CRF
    while True:
        path = new_path(job.directory, "mp4")
        with removed_on_error(path):
            excess = _write(path, clip, shaper, crf, job)
        if excess <= 1:
            break
        remove(path)
        if crf == _WORST_CRF:
            raise MediaError(
                f"The clip does not fit into {most} at {width}×{height} px and {seconds:.3g} s. Scale it down or use a "
                "shorter part."
            )
        # 6 steps of crf halve the size, or fewer: noise shrinks faster.
        crf = min(_WORST_CRF, crf + max(1, round(4 * math.log2(excess * 1.05))))
    if crf != _BEST_CRF:
        job.notes.append(f"Clip encoded with crf {crf} instead of {_BEST_CRF}, to stay under {most}.")
    if shaper.found_transparency:
        job.notes.append("Clip flattened on white: it has transparent parts.")
    if shaper.resized:
        job.notes.append(f"Its frames change their size; all are scaled to {width}×{height} px.")
    if clip.colors.conversion:
        job.notes.append(f"Clip converted {clip.colors.conversion}.")
    if clip.damage:
        job.notes.append(clip.damage)
    return describe(path, content=clip.content, seconds=seconds, notes=tuple(job.notes))


def _write(path: Path, clip: TensorClip | FileClip, shaper: Shaper, crf: int, job: _Job) -> float:
    """Write the file. Return by what factor it is, or would have become, too large; up to 1 is fine."""
    audio = (aac_rate(clip.audio_format[0]), clip.audio_format[1]) if clip.audio_format else None
    source_frame = shaped = None
    done, most = 0, job.bounds.max_bytes
    with (
        closing(clip.read(audio)) as parts,
        ClipWriter(path, size=shaper.size, fps=clip.fps, crf=crf, audio=audio) as writer,
    ):
        for part in parts:
            check_cancelled(job.cancelled)
            if isinstance(part, np.ndarray):
                writer.write_audio(part)
                continue
            if part is not source_frame:
                source_frame, shaped = part, shaper(part)
            assert shaped is not None
            writer.write_frame(shaped)
            done += 1
            if job.on_progress is not None:
                job.on_progress(done, clip.frames)
            if writer.bytes_written > most * _RESERVE:
                return max(1.01, writer.bytes_written / most * clip.frames / done)
    return path.stat().st_size / most
