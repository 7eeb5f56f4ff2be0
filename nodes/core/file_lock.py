"""Exclusive locks on files. The system releases them when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def try_lock(descriptor: int) -> bool:
    """Lock an open file without waiting; return False if it is locked already. Closing the file releases the lock.

    Raises:
        OSError: the file system cannot lock files.
    """
    if sys.platform == "win32":
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:  # the same error for every reason
            return False
    else:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextlib.contextmanager
def locked(path: Path, *, timeout: float = 10.0) -> Iterator[None]:
    """Hold the lock on the file `path`, which is created if it is missing.

    Raises:
        TimeoutError: another process has held it for `timeout` seconds.
        OSError: the file cannot be created or locked.
    """
    end = time.monotonic() + timeout
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not try_lock(descriptor):
            if time.monotonic() > end:
                raise TimeoutError(f"another process has held {path} for more than {timeout:g} s")
            time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)
