"""What tests have to ask differently on each system."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

KILLED = {-9, 9}
"""The exit codes of a process that killed itself with signal 9: the second is Windows'."""
KILLED_BY_ANOTHER = 1 if sys.platform == "win32" else -9
"""The exit code of a process that `Popen.kill` ended."""


def is_private(path: Path) -> bool:
    """Return whether only the owner may read a file. Windows has no modes: there the folder decides."""
    return os.name != "posix" or stat.S_IMODE(path.stat().st_mode) == 0o600


def is_open(path: Path) -> bool:
    """Return whether this process has a file open. On Windows this deletes the file if it does not."""
    if sys.platform == "win32":
        try:
            path.unlink()
        except PermissionError:
            return True
        return False
    import psutil

    return any(Path(file.path) == path for file in psutil.Process().open_files())


def peak_memory() -> int:
    """Return the largest number of bytes that this process has had in memory."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def use_the_pack(locks: Path, token: str, video: Path) -> tuple[bool, int]:
    """Run in a spawned process: return whether the lock of `token` is held, and how many frames a video has.

    It is here because a spawned process cannot import the test modules.
    """
    from nodes.core.process_lock import ProcessLock
    from nodes.media.decode.decode import DecodeOptions, decode

    lock = ProcessLock(locks)
    lock.acquire()
    return lock.is_held_by(token), len(decode(video, DecodeOptions()).images)
