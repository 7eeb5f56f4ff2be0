"""Files that other programs have open at the same time: writing, renaming and deleting them on each system."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
import uuid
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
DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
"""Error numbers of a full disk and a used-up quota. Windows has none for the latter."""


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


def remove(path: Path) -> None:
    """Delete a file if possible. Windows refuses that for files that are open."""
    with contextlib.suppress(OSError):
        path.unlink()


def write_atomically(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file so that a reader sees either its old or its new content. On POSIX only its owner may read it.

    With `durable`, this is true after a power loss too.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                flush_to_disk(file.fileno())
        replace(temporary, path)
    finally:
        remove(temporary)


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
