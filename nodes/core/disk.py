"""What differs between systems when a file is renamed, opened or flushed."""

from __future__ import annotations

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
