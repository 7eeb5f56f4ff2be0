"""Temporary folders outside of what ComfyUI serves. Their files are private, so that none may stay for ever."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from .process_lock import ProcessLock

_PREFIX = "wan27-temporary-"
STALE_SECONDS = 24 * 3600
"""An older folder belongs to a process that ended, unless one has locked a file in its subfolder OWNERS."""
OWNERS = "owners"
"""Subfolder for the `ProcessLock` of a process that uses the folder for long."""
REMOVE_SECONDS = 600.0
_REMOVE_PAUSE_SECONDS = 0.2


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Create a folder, and remove it afterwards with everything in it, as soon as the system lets it."""
    folder = TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
    try:
        yield Path(folder.name)
    finally:
        folder.cleanup()
        if (left := Path(folder.name)).exists():
            # Windows deletes no open file. An encoder ends a moment after its node was interrupted, and the nodes of
            # other packs may leave a file open.
            threading.Thread(target=_remove_later, args=(left,), name="wan27-remove", daemon=True).start()


def _remove_later(folder: Path) -> None:
    end = time.monotonic() + REMOVE_SECONDS
    while folder.exists() and time.monotonic() < end:
        time.sleep(_REMOVE_PAUSE_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers() -> None:
    """Delete the temporary folders that a crash, a power loss or a closed console window left behind."""
    for folder in Path(gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_mtime < time.time() - STALE_SECONDS and not _is_in_use(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_in_use(folder: Path) -> bool:
    lock = ProcessLock(folder / OWNERS)
    lock.remove_stale()
    return lock.directory.is_dir() and any(lock.directory.iterdir())
