"""The video files: their names, whether they still exist, and the info about them."""

from __future__ import annotations

import hashlib
import logging
import time
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from ..ledger import BalanceReading, TaskRecord
from .models import Finished

log = logging.getLogger(__name__)

FOLDER = "wan27"


def file_name(record: TaskRecord) -> PurePosixPath:
    """Return the name of a task's video below the output folder: always the same for the same task.

    The id came over the network, so only its hash becomes part of the name.
    """
    if record.file:
        return PurePosixPath(record.file)
    stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(record.began_at))
    short = hashlib.sha256(f"{record.service} {record.task_id}".encode()).hexdigest()[:10]
    return PurePosixPath(FOLDER) / f"wan27_{stamp}_{short}.mp4"


def saved_file(record: TaskRecord, output_dir: Path) -> Path | None:
    """Return the file of a saved task if it still exists in full length."""
    if not record.file:
        return None
    path = output_dir / record.file
    try:
        return path if path.stat().st_size == record.file_size else None
    except OSError:
        return None


def is_changed(record: TaskRecord, output_dir: Path) -> bool:
    """Return whether the file of a saved task exists but is not what was saved: the user has edited it in place."""
    return record.file is not None and (output_dir / record.file).exists() and saved_file(record, output_dir) is None


def free_name(record: TaskRecord, output_dir: Path) -> PurePosixPath:
    """Return the name to save a task's video under. A file that was edited in place is the user's by now and stays."""
    name = file_name(record)
    if not is_changed(record, output_dir):
        return name
    return next(
        found
        for number in count(2)
        if not (output_dir / (found := name.with_name(f"{name.stem}_{number}.mp4"))).exists()
    )


def describe_video(path: Path) -> dict[str, Any]:
    """Return seconds, size [width, height] and fps according to the file; {} if it cannot be read."""
    try:
        from ..media.video.container import frame_rate, opened, video_stream

        with opened(path) as container:
            video = video_stream(container, path)
            seconds = video.duration * video.time_base if video.duration and video.time_base else None
            return {
                "seconds": round(float(seconds or (container.duration or 0) / 1_000_000), 3),
                "size": [video.codec_context.width, video.codec_context.height],
                "fps": round(float(frame_rate(video)), 3),
            }
    except Exception as error:
        # The bytes were paid for: a file that cannot be described is kept all the same.
        log.warning("Wan 2.7: %s cannot be read: %s", path.name, error)
        return {}


def finished(record: TaskRecord, output_dir: Path, *, balance: BalanceReading | None = None) -> Finished:
    """Return what Wait for Video outputs for a saved task, with the balance after it if that is known."""
    info = {
        "task_id": record.task_id,
        "state": record.state,
        "connection": record.connection,
        "seed": record.request.get("seed") if record.seed is None else record.seed,
        "seconds": record.video.get("seconds"),
        "size": record.video.get("size"),
        "fps": record.video.get("fps"),
        "estimated_cost": record.estimate,
        "times": {
            "submitted": _iso(record.submitted_at),
            "executed": _iso(record.executed_at),
            "completed": _iso(record.completed_at),
            "saved": _iso(record.saved_at),
        },
        "file": record.file,
        "sha256": record.file_sha256,
    }
    if balance is not None:
        info["balance_usd"] = round(balance.available_usd, 4)
    return Finished(output_dir / (record.file or ""), info)


def _iso(seconds: float | None) -> str | None:
    try:
        return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, OSError, ValueError):
        return None  # not a time; the video is worth keeping all the same
