"""Second place for a paid task id, for when the ledger itself cannot be written."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from ..core.disk import flush_to_disk, patiently
from ..core.errors import LedgerError, reason_of
from ..core.file_lock import locked

LOCK_SECONDS = 5.0
"""How long to wait for another process that appends."""


class RecoveryLog:
    """A file of JSON lines beside the ledger. None is ever removed: two processes may replay them at once, and a third
    may be appending."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, record_id: int, task_id: str, handle: Mapping[str, str], at: float) -> None:
        """Put a task id and what belongs to it on disk.

        Raises LedgerError, with the task id in its message, if not even that is possible.
        """
        # The first newline ends what an append left that was cut short by a full disk or a power loss.
        line = "\n" + json.dumps({"row": record_id, "task_id": task_id, "handle": dict(handle), "at": at}) + "\n"
        try:
            with contextlib.ExitStack() as stack:
                # Windows finds the end and writes in two steps. Without the lock the line is written all the same.
                with contextlib.suppress(OSError):
                    stack.enter_context(locked(self._path.with_suffix(".lock"), timeout=LOCK_SECONDS))
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                descriptor = patiently(partial(os.open, self._path, flags, 0o600))
                with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                    file.write(line)
                    file.flush()
                    flush_to_disk(file.fileno())
        except OSError as error:
            raise LedgerError(
                f"Task {task_id} was paid for and could not be recorded ({reason_of(error)}). Keep this task id "
                "and paste it into Wan 2.7 Wait for Video. Then make ComfyUI's user directory writable and make sure "
                "that its disk has free space."
            ) from error

    def replay(self) -> Iterator[tuple[int, str, Mapping[str, str], float]]:
        """Yield what was appended: record id, task id, handle and time. Unreadable lines are skipped."""
        try:
            lines = patiently(partial(self._path.read_text, encoding="utf-8", errors="replace")).splitlines()
        except OSError:
            return
        yield from filter(None, map(_parse, lines))


def _parse(line: str) -> tuple[int, str, Mapping[str, str], float] | None:
    try:
        entry = json.loads(line)
        record_id, task_id, at = int(entry["row"]), str(entry["task_id"]), float(entry["at"])
        handle = dict(entry.get("handle") or {})  # earlier versions wrote none
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return (record_id, task_id, handle, at) if 0 <= record_id < 2**63 else None
