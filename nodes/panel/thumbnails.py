"""Poster frames: one small picture of each saved video, made when it is first asked for.

Only for files that stand in the ledger. The pictures lie in the pack's own folder and may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..ledger.records import TaskRow

SIDE = 320
"""Pixels of the longer side: sharp on a screen with two pixels for each, at the size the panel shows."""
KEPT = 5000
"""Pictures of about 15 kB; beyond this the oldest go."""
FOLDER = "posters"

_one_at_a_time = threading.Lock()


def video_file(row: TaskRow, output_dir: Path) -> Path | None:
    """The video of a row where it is below the output folder and still there."""
    if row.state != "saved" or not row.file:
        return None
    path = (output_dir / row.file).resolve()
    if not path.is_relative_to(output_dir.resolve()) or not path.is_file():
        return None
    return path


def poster(row: TaskRow, *, output_dir: Path, folder: Path) -> Path | None:
    """A JPEG of the video's first frame, or None where there is none to be had. Blocks while it decodes.

    Args:
        row: a saved task.
        output_dir: ComfyUI's.
        folder: where the pictures are kept; made where it is missing.
    """
    video = video_file(row, output_dir)
    if video is None or not row.file_sha256:
        return None
    made = folder / f"{row.file_sha256[:32]}.jpg"
    if made.is_file():
        return made
    # A page of rows asks for fifty at once; the nodes need the processor more.
    with _one_at_a_time:
        if not made.is_file():
            _make(video, made)
            _tidy(folder)
    return made if made.is_file() else None


def _make(video: Path, target: Path) -> None:
    from PIL import Image

    from ..media.decode.decode import DecodeOptions, decode

    decoded = decode(video, DecodeOptions(max_frames=1, max_side=SIDE, want_audio=False))
    assert decoded.last_frame is not None  # there is one wherever decoding did not raise
    pixels = (decoded.last_frame[0] * 255).round().clamp(0, 255).byte().cpu().numpy()
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        Image.fromarray(pixels).save(beside, format="JPEG", quality=82)
        beside.replace(target)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def _tidy(folder: Path) -> None:
    with contextlib.suppress(OSError):
        entries = [entry for entry in os.scandir(folder) if entry.name.endswith(".jpg")]
        if len(entries) > KEPT:
            entries.sort(key=lambda entry: entry.stat().st_mtime)
            for entry in entries[: len(entries) - KEPT]:
                Path(entry.path).unlink(missing_ok=True)
