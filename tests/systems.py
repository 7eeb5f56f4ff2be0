"""What tests have to ask differently on each system."""

from __future__ import annotations

import os
import stat
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from nodes.core import disk

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


def refuse_deletions(patch: pytest.MonkeyPatch) -> None:
    """Let the deletion of every file fail as on Windows while another program has it open."""

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if not missing_ok or self.exists():
            raise PermissionError(13, "The process cannot access the file because it is being used", str(self))

    patch.setattr(Path, "unlink", refuse)


def refuse_reads(patch: pytest.MonkeyPatch, times: int) -> None:
    """Let the next reads of whole files fail as on Windows while another program replaces them."""
    left = [PermissionError(13, "Access is denied")] * times
    read = Path.read_bytes

    def refuse(self: Path) -> bytes:
        if left:
            raise left.pop()
        return read(self)

    patch.setattr(disk, "PATIENCE_SECONDS", 2.0)
    patch.setattr(Path, "read_bytes", refuse)


def refuse_opening(path: Path, patch: pytest.MonkeyPatch, times: int = 3) -> list[PermissionError]:
    """Refuse a few times to open a file, as Windows does while another program holds it. Return the refusals left.

    The name in `path` may contain wildcards.
    """
    left = [PermissionError(13, "Permission denied", str(path))] * times

    def refusing(opening: Any) -> Any:
        def opened(name: Any, *args: Any, **options: Any) -> Any:
            if left and fnmatch(os.fsdecode(name), str(path)):
                raise left.pop()
            return opening(name, *args, **options)

        return opened

    patch.setattr(disk, "PATIENCE_SECONDS", 60.0)
    patch.setattr(os, "open", refusing(os.open))
    patch.setattr(Path, "open", refusing(Path.open))
    return left


def link_or_skip(link: Path, target: Path) -> None:
    """Make a symbolic link to a file, or skip the test: on Windows only some users may make links."""
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("this user may not make links")


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
