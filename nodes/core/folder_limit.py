"""Folders that must not grow for ever."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .disk import remove

_FILES_BETWEEN_DELETIONS = 100


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
                remove(Path(path))
