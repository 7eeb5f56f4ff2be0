"""The video files: their names, whether they are still there, and what is told of them."""

from __future__ import annotations

import hashlib
import logging
import time
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from ..ledger.records import TaskRow
from .models import Finished

log = logging.getLogger(__name__)

FOLDER = "wan27"


def file_name(row: TaskRow) -> PurePosixPath:
    """Where a task's video goes below the output folder: always the same for the same task.

    The id came over the network, so only its hash gets into the name.
    """
    if row.file:
        return PurePosixPath(row.file)
    stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(row.began_at))
    short = hashlib.sha256(f"{row.service} {row.task_id}".encode()).hexdigest()[:10]
    return PurePosixPath(FOLDER) / f"wan27_{stamp}_{short}.mp4"


def saved_file(row: TaskRow, output_dir: Path) -> Path | None:
    """The file of a saved task, if it is still there in full length."""
    if not row.file:
        return None
    path = output_dir / row.file
    try:
        return path if path.stat().st_size == row.file_size else None
    except OSError:
        return None


def is_changed(row: TaskRow, output_dir: Path) -> bool:
    """Whether the file of a saved task is there and is not what was saved: somebody has worked on it in place."""
    return row.file is not None and (output_dir / row.file).exists() and saved_file(row, output_dir) is None


def free_name(row: TaskRow, output_dir: Path) -> PurePosixPath:
    """Where to fetch a task's video to. A file that was changed in place is the user's by now and stays."""
    name = file_name(row)
    if not is_changed(row, output_dir):
        return name
    return next(
        found
        for number in count(2)
        if not (output_dir / (found := name.with_name(f"{name.stem}_{number}.mp4"))).exists()
    )


def describe_video(path: Path) -> dict[str, Any]:
    """Seconds, size [width, height] and fps as the file says; {} where it cannot be read."""
    try:
        from ..media.video.probe import probe

        found = probe(path)
        return {
            "seconds": round(float(found.seconds), 3),
            "size": [found.width, found.height],
            "fps": round(float(found.fps), 3),
        }
    except Exception as error:
        # The bytes are what was paid for: a file that cannot be described is kept all the same.
        log.warning("Wan 2.7: %s cannot be read: %s", path.name, error)
        return {}


def finished(row: TaskRow, output_dir: Path) -> Finished:
    """What Wait gives out for a saved task."""
    info = {
        "task_id": row.task_id,
        "state": row.state,
        "connection": row.connection,
        "seed": row.request.get("seed") if row.seed is None else row.seed,
        "seconds": row.video.get("seconds"),
        "size": row.video.get("size"),
        "fps": row.video.get("fps"),
        "estimated_cost": row.estimate,
        "times": {
            "submitted": _iso(row.submitted_at),
            "executed": _iso(row.executed_at),
            "completed": _iso(row.completed_at),
            "saved": _iso(row.saved_at),
        },
        "file": row.file,
        "sha256": row.file_sha256,
    }
    return Finished(output_dir / (row.file or ""), info)


def _iso(seconds: float | None) -> str | None:
    try:
        return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, OSError, ValueError):
        return None  # what was told is no time; a video is not given up for that
