"""Tells which of the processes that share a directory are still alive.

Each holds a lock on a file of its own as long as it runs. The kernel releases it however the process ends, kill -9 and
power loss included. A pid would not do: it is reused, and means nothing in another container.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sys
import threading
from pathlib import Path

from .disk import remove
from .file_lock import try_lock

_TOKEN = re.compile(r"[0-9a-f]{16}")

_OPEN_FILES_CAN_BE_REMOVED = sys.platform != "win32"
"""POSIX removes a file while it is locked, so no other process can lock it in between. Windows refuses to, so there
the file is closed first; if removing it works, no other process has it open. Its file systems do not all number their
files."""


class ProcessLock:
    """This process's lock, named by `token`, in a directory that holds one small file for each living process."""

    def __init__(self, directory: Path) -> None:
        self.token = secrets.token_hex(8)
        self.directory = directory
        self._descriptor: int | None = None
        self._mutex = threading.Lock()

    def acquire(self) -> None:
        """Lock this process's file, unless it is locked already. Raises OSError if it cannot be created or locked."""
        with self._mutex:
            if self._descriptor is None:
                self._descriptor = self._locked_file()

    def _locked_file(self) -> int:
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self._path(self.token)
        for _ in range(10):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            # Another process may have removed the file as stale between the two calls, and a lock on a file without a
            # name is invisible to others.
            if try_lock(descriptor) and (not _OPEN_FILES_CAN_BE_REMOVED or _same_file(path, descriptor)):
                if hasattr(os, "register_at_fork"):
                    # A forked child shares the lock and would hold it after its parent's death.
                    os.register_at_fork(after_in_child=self._after_fork)
                return descriptor
            os.close(descriptor)
        raise OSError("the lock file keeps vanishing")

    def is_held_by(self, token: str) -> bool:
        """Return whether the process with this token still runs. If in doubt, it does: no other process acts for it."""
        if token == self.token:
            return True
        return bool(_TOKEN.fullmatch(token)) and self._is_held(self._path(token))

    @staticmethod
    def _is_held(path: Path) -> bool:
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError as error:
            return not isinstance(error, FileNotFoundError)
        try:
            if not try_lock(descriptor):
                return True
            if _OPEN_FILES_CAN_BE_REMOVED:
                remove(path)
        except OSError:
            return True
        finally:
            _close(descriptor)
        if not _OPEN_FILES_CAN_BE_REMOVED:
            remove(path)
        return False

    def remove_stale(self) -> None:
        """Remove the lock files of processes that ended."""
        with contextlib.suppress(OSError):
            for path in self.directory.iterdir():
                if path.suffix == ".lock":
                    self.is_held_by(path.stem)

    def release(self) -> None:
        """Release the lock and remove its file. Other processes see this one as ended."""
        with self._mutex:
            if self._descriptor is not None:
                _close(self._descriptor)
                self._descriptor = None
                remove(self._path(self.token))

    def _after_fork(self) -> None:
        if self._descriptor is not None:
            _close(self._descriptor)
            self._descriptor = None

    def _path(self, token: str) -> Path:
        return self.directory / f"{token}.lock"


def _same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _close(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.close(descriptor)
