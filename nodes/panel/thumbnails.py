"""Thumbnails of saved videos, made when they are first requested.

Only for files that the ledger names. The thumbnails are kept in the pack's own folder and may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.disk import replace

if TYPE_CHECKING:
    from ..ledger import TaskRecord

SIDE = 320
"""Pixels of the longer side: twice the size in the panel, for screens with two pixels per CSS pixel."""
KEPT = 5000
"""Thumbnails of about 15 kB each; beyond this the oldest are deleted."""
FOLDER = "posters"
"""In the pack's own folder; has the name of the route."""


def video_file(row: TaskRecord, output_dir: Path) -> Path | None:
    """Return the video of a task, or None if it is not saved, was deleted, or is outside the output folder."""
    if row.state != "saved" or not row.file:
        return None
    path = (output_dir / row.file).resolve()
    if not path.is_relative_to(output_dir.resolve()) or not path.is_file():
        return None
    return path


class Thumbnails:
    """Makes thumbnails one at a time: a page of tasks requests fifty at once, but the nodes need the processor more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def get(self, row: TaskRecord, *, output_dir: Path, folder: Path) -> Path | None:
        """Return a JPEG in `folder` of the video's first frame, None if there is no video. Blocks while it decodes."""
        video = video_file(row, output_dir)
        if video is None or not row.file_sha256:
            return None
        target = folder / f"{row.file_sha256[:32]}.jpg"
        if target.is_file():
            return target
        with self._lock:
            if not target.is_file():
                _make(video, target)
                _delete_oldest(folder)
        return target if target.is_file() else None


def _make(video: Path, target: Path) -> None:
    from PIL import Image

    from ..media.decode.decode import DecodeOptions, decode

    decoded = decode(video, DecodeOptions(max_frames=1, max_side=SIDE, want_audio=False))
    assert decoded.last_frame is not None  # decode raises if there is none
    pixels = (decoded.last_frame[0] * 255).round().clamp(0, 255).byte().cpu().numpy()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        Image.fromarray(pixels).save(part, format="JPEG", quality=82)
        replace(part, target)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _delete_oldest(folder: Path) -> None:
    with contextlib.suppress(OSError):
        entries = [entry for entry in os.scandir(folder) if entry.name.endswith(".jpg")]
        if len(entries) > KEPT:
            entries.sort(key=lambda entry: entry.stat().st_mtime)
            for entry in entries[: len(entries) - KEPT]:
                Path(entry.path).unlink(missing_ok=True)
