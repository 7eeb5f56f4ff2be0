"""What differs between systems when a file is renamed, opened or flushed, and folders that must not grow for ever."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

if sys.platform != "win32":
    import fcntl

T = TypeVar("T")

PATIENCE_SECONDS = 2.0 if sys.platform == "win32" else 0.0
"""Windows refuses to rename over a file that a program has open, or to open one that is just being replaced. Virus
scanners, indexers, backups and our own readers have files open for a moment. Other systems refuse for lasting reasons
only."""
_PAUSE_SECONDS = 0.02
_FILES_BETWEEN_DELETIONS = 100


def patiently(work: Callable[[], T]) -> T:
    """Return what `work` returns. Repeat it while it raises PermissionError, for at most PATIENCE_SECONDS."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return work()
        except PermissionError:
            if time.monotonic() >= end:
                raise
        time.sleep(_PAUSE_SECONDS)


def replace(source: Path, target: Path) -> None:
    """Rename over `target`, which another program may have open for a moment."""
    patiently(lambda: source.replace(target))


def flush_to_disk(descriptor: int) -> None:
    """Return when an open file is on the disk, so that it survives a power loss.

    On macOS fsync returns when the data is in the drive's cache; F_FULLFSYNC empties it.
    """
    if sys.platform != "win32" and (full := getattr(fcntl, "F_FULLFSYNC", None)) is not None:
        try:
            fcntl.fcntl(descriptor, full)
            return
        except OSError:  # some network file systems cannot do this
            pass
    os.fsync(descriptor)


class FolderLimit:
    """Deletes the oldest files of a folder once there are too many.

    Args:
        suffix: the end of the names of the files to count.
        files: how many are kept.
        total_bytes: how large they may be together, None for any size.
    """

    def __init__(self, suffix: str, *, files: int, total_bytes: int | None = None) -> None:
        self._suffix, self._files, self._total_bytes = suffix, files, total_bytes
        self._added = 0

    def file_added(self, folder: Path) -> None:
        """Delete the oldest files, on the first call and then now and then: all files are looked at."""
        if self._added % _FILES_BETWEEN_DELETIONS == 0:
            self._delete_oldest(folder)
        self._added += 1

    def _delete_oldest(self, folder: Path) -> None:
        newest_first = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(self._suffix):
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat()
                        newest_first.append((status.st_mtime_ns, status.st_size, entry.path))
        newest_first.sort(reverse=True)
        total = 0
        for index, (_, size, path) in enumerate(newest_first):
            total += size
            if index >= self._files or (self._total_bytes is not None and total > self._total_bytes):
                with contextlib.suppress(OSError):
                    Path(path).unlink()
