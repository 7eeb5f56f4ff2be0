"""The SQLite file of the ledger: opens it carefully, runs transactions, and explains errors.

Durability. journal_mode=DELETE with synchronous=EXTRA: a commit returns after the data, the file and the removal of
the journal (a directory entry) have reached the disk, so a committed row survives kill -9 and power loss. WAL with
synchronous=FULL would be as durable and faster, but needs memory shared between processes, which network and container
mounts lack, and three files are harder to copy than one. A task costs seven small transactions in minutes:
the speed of WAL is worth nothing here. fullfsync is for macOS, where fsync alone leaves data in the drive's cache. (If
a disk lies about flushing, no setting helps.)
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from sqlite3 import connect

from ..core.disk import patiently
from ..core.errors import LedgerError, reason_of
from .schema import APPLICATION_ID, MIGRATIONS, Migration

log = logging.getLogger(__name__)

_OPEN_FILES_CAN_BE_MOVED = sys.platform != "win32"
"""Not on Windows, where some file systems also do not number their files."""
_UNCHANGED = "It was left as it is."


class Database:
    """One connection, opened at first use and usable from any thread.

    The file is created if missing, on POSIX readable by its owner only. `busy_seconds`: how long to wait for another
    writer.
    """

    def __init__(self, path: Path, *, busy_seconds: float = 10.0, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
        self._migrations = migrations
        self._mutex = threading.RLock()
        self._opened: sqlite3.Connection | None = None
        self._opened_file: tuple[int, int] | None = None

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction during which no other process writes, from its first read on. Roll back on any exception.

        Raises LedgerError if the file cannot be used: then nothing of the transaction was written.
        """
        with self._mutex, self._explained():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give access to the file for reading. Raises LedgerError if it cannot be used."""
        with self._mutex, self._explained():
            yield self._connection()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._mutex:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _connection(self) -> sqlite3.Connection:
        if self._opened is not None and not self._opened.in_transaction and self._was_replaced():
            # Deleted or replaced while in use: what goes into the old file would be lost after a restart.
            log.warning("Wan 2.7: the ledger %s was moved away or replaced while it was in use.", self.path)
            self.close()
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _was_replaced(self) -> bool:
        return _OPEN_FILES_CAN_BE_MOVED and _identity(self.path) != self._opened_file

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # SQLite would make it readable for all users; its journal takes the mode of the file.
            os.close(patiently(partial(os.open, self.path, os.O_RDWR | os.O_CREAT, 0o600)))
            self._opened_file = _identity(self.path)
        except OSError as error:
            raise LedgerError(
                f"The ledger of paid tasks, {self.path}, cannot be opened for writing: {reason_of(error)}. "
                f"{_UNCHANGED} Make the file and its folder writable for ComfyUI."
            ) from error
        connection = connect(
            self.path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            connection.row_factory = sqlite3.Row
            self._check(connection)
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("PRAGMA fullfsync = ON")
            connection.execute("PRAGMA temp_store = MEMORY")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        """Refuse a file that is damaged, not ours, or from a newer version. Only reads."""
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("database disk image is malformed")
        version = self._version(connection)
        ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if not ours and not empty:
            raise LedgerError(
                f"{self.path} is a database of another program, not the ledger of paid tasks. {_UNCHANGED} "
                "Move it away."
            )
        if version > len(self._migrations):
            raise LedgerError(
                f"The ledger of paid tasks, {self.path}, was written by a newer version of this node pack (format "
                f"{version}, this one knows {len(self._migrations)}). {_UNCHANGED} Update the pack."
            )

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Upgrade an older file, each step in a transaction of its own, after a copy was made."""
        if self._version(connection) == len(self._migrations):
            return
        self._keep_copy(connection)
        while self._version(connection) < len(self._migrations):
            connection.execute("BEGIN IMMEDIATE")
            try:
                version = self._version(connection)  # another process may have been faster
                if version < len(self._migrations):
                    for statement in self._migrations[version]:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    connection.execute(f"PRAGMA user_version = {version + 1}")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _keep_copy(self, connection: sqlite3.Connection) -> None:
        version = self._version(connection)
        if version == 0:
            return
        copy = self.path.with_name(f"{self.path.stem}.version{version}{self.path.suffix}")
        try:
            # Never over an earlier copy: the oldest is the one worth keeping.
            descriptor = os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        os.close(descriptor)
        target = connect(copy)
        try:
            connection.backup(target)
        finally:
            target.close()

    @staticmethod
    def _version(connection: sqlite3.Connection) -> int:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LedgerError(f"{self._what_is_wrong(str(error))} {_UNCHANGED}") from error

    def _what_is_wrong(self, said: str) -> str:
        ledger = f"The ledger of paid tasks, {self.path},"
        lower = said.lower()
        if "locked" in lower or "busy" in lower:
            return f"{ledger} is locked by another program. Close the program that has it open, and queue again."
        if "readonly" in lower or "read-only" in lower or "unable to open" in lower:
            return f"{ledger} cannot be written ({said}). Make the file and its folder writable for ComfyUI."
        if "malformed" in lower or "not a database" in lower or "corrupt" in lower:
            return (
                f"{ledger} is damaged ({said}). It records which videos were paid for, so it is left as it is: restore "
                "a backup, or move it away to start a new one. Tasks of the last 24 hours can still be fetched by "
                "pasting their task ids into Wan 2.7 Wait for Video."
            )
        if "full" in lower:
            return f"{ledger} cannot grow: the disk is full. Free some space, and queue again."
        return f"{ledger} cannot be used: {said}."


def _identity(path: Path) -> tuple[int, int] | None:
    """Return which file is behind a name, None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
