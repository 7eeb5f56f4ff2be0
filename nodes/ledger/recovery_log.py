"""A second place for a task id that was paid for, when the ledger itself cannot be written at that moment."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..core.errors import LedgerError
from .database import Database


class Rescue:
    """A file of JSON lines beside the ledger. It is only ever added to; the ledger takes its lines in when it can."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, row_id: int, task_id: str, at: float) -> None:
        """Put a task id on disk.

        Raises:
            LedgerError: not even that is possible; the text holds the task id.
        """
        line = json.dumps({"row": row_id, "task_id": task_id, "at": at}) + "\n"
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise LedgerError(
                f"Task {task_id} was paid for and could not be written down ({error.strerror or error}). Keep this "
                "task id and paste it into Wan 2.7 Wait for Video. Then make ComfyUI's user directory writable and see "
                "that its disk has room."
            ) from error

    def fold_in(self, database: Database) -> None:
        """Write the kept ids into the ledger. Lines it has already change nothing, so none is ever removed: two
        processes may do this at once, and a third may be adding.

        The time must fit as well: the row numbers of a ledger that was begun anew mean other tasks.
        """
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except OSError:
            return
        for line in lines:
            try:
                kept = json.loads(line)
                values = (str(kept["task_id"]), float(kept["at"]), int(kept["row"]), float(kept["at"]))
            except (ValueError, KeyError, TypeError):
                continue
            with database.writing() as db:
                db.execute(
                    "UPDATE tasks SET state = 'submitted', task_id = ?, submitted_at = ?, reason = '' "
                    "WHERE id = ? AND task_id IS NULL AND post_started_at <= ? AND state IN ('intent', 'unknown')",
                    values,
                )
