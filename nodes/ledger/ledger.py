"""The ledger: every task that was paid for, on disk before the money leaves.

The way of a row:  intent → (post_started_at set) → submitted → succeeded → saved,
                   or failed (nothing to be had), or unknown (paid perhaps, nobody knows).

What makes one request one POST, across threads, processes and crashes:
- `claim` decides and reserves in one transaction that excludes every other writer.
- An intent belongs to its `owner`. As long as that process lives, others wait for it instead of sending.
- `begin_post` is committed right before the POST leaves, and refuses a row that is no longer this process's intent.
- An intent whose owner died is `failed` (never sent, safe to send again) without that mark and `unknown` with it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config.settings import Budget
from ..core.errors import LedgerError
from .browse import Browse
from .claims import Claims, InDoubt
from .database import Database, Listener
from .process_lock import Presence
from .records import Claim, Claimed, TaskRow, storable, task_row
from .recovery_log import Rescue
from .uploads import Upload, Uploads

__all__ = ["InDoubt", "Ledger"]

log = logging.getLogger(__name__)

ABANDONED = "its end could not be written down when it happened"


class Ledger:
    """The file and everything that is asked of it. Usable from any thread; every method is one short transaction.

    Args:
        path: the SQLite file. Lock files go into `<stem>-locks` beside it.
        clock: seconds since 1970; for tests.
        busy_seconds: how long to wait while another process writes.

    Every method raises LedgerError where the file cannot be used.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time, busy_seconds: float = 10.0) -> None:
        self._clock = clock
        self._database = Database(path, busy_seconds=busy_seconds)
        self._presence = Presence(path.with_name(f"{path.stem}-locks"))
        self._rescue = Rescue(path.with_name(f"{path.stem}-rescue.jsonl"))
        self._uploads = Uploads(self._database, clock)
        self.browse = Browse(self._database)
        self._claims = Claims(self._database, self._presence, self._rescue, clock)

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self._database.path

    def now(self) -> float:
        """Seconds since 1970, on the ledger's clock."""
        return self._clock()

    def listen(self, listener: Listener) -> None:
        """Have `listener` told the row numbers of tasks that this process changes; see `Listener`."""
        self._database.listen(listener)

    def close(self) -> None:
        """Close the file and take down the sign of life; the next use opens both again."""
        self._database.close()
        self._presence.hide()

    # Claims -----------------------------------------------------------------------------------------------------

    def claim(self, claims: Sequence[Claim], budget: Budget | None) -> list[Claimed]:
        """For each claim the row to go on with. See `Claims.claim`."""
        return self._claims.claim(claims, budget)

    def recover(self, fingerprints: Sequence[str] | None = None) -> list[TaskRow]:
        """Settle the intents of processes that died. See `Claims.recover`."""
        return self._claims.recover(fingerprints)

    def spent(self, run_id: str) -> tuple[float, float]:
        """USD estimated for this run and for today. See `Claims.spent`."""
        return self._claims.spent(run_id)

    def known_requests(self) -> list[Mapping[str, Any]]:
        """The requests that have or will have a video, as stored: unset fields left out, media by content."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT DISTINCT request FROM tasks WHERE fingerprint != '' AND state != 'failed'"
            ).fetchall()
        return [json.loads(row[0]) for row in rows]

    # The POST ---------------------------------------------------------------------------------------------------

    def begin_post(self, row_id: int) -> None:
        """Mark that the POST may leave from now on. Must be called, and have returned, before it does.

        Raises:
            LedgerError: the row is no longer this process's intent, so that somebody else may have sent it.
        """
        self._change(
            "UPDATE tasks SET post_started_at = ? WHERE id = ? AND state = 'intent' AND owner = ?",
            (self._clock(), row_id, self._presence.token),
        )

    def post_did_not_arrive(self, row_id: int) -> None:
        """Take the mark back: the POST surely never arrived."""
        self._change(
            "UPDATE tasks SET post_started_at = NULL WHERE id = ? AND state = 'intent' AND owner = ?",
            (row_id, self._presence.token),
        )

    def record_task(self, row_id: int, task_id: str) -> None:
        """Put the task id on disk: the first thing that happens with it. Where the ledger refuses, beside it.

        No condition on state or owner: whatever became of the row meanwhile, this id was paid for.

        Raises:
            LedgerError: neither was possible. The task id stands in the log.
        """
        try:
            self._change(
                "UPDATE tasks SET state = 'submitted', task_id = ?, submitted_at = ?, reason = '' "
                "WHERE id = ? AND task_id IS NULL",
                (task_id, self._clock(), row_id),
            )
        except LedgerError as error:
            log.error("Task %s was paid for, and the ledger could not take it: %s", task_id, error)
            self._rescue.keep(row_id, task_id, self._clock())

    def fail(self, row_id: int, reason: str, *, billed: bool) -> None:
        """The task ends without a video. billed: False where surely nothing was made, which frees the budget."""
        self._change(
            "UPDATE tasks SET state = 'failed', reason = ?, counted = counted AND ? WHERE id = ?",
            (storable(reason), billed, row_id),
        )

    def withdraw(self, row_id: int, reason: str) -> None:
        """Give up an intent that was not sent; anything else stays as it is."""
        with self._database.writing() as db:
            db.execute(
                "UPDATE tasks SET state = 'failed', counted = 0, reason = ? "
                "WHERE id = ? AND state = 'intent' AND post_started_at IS NULL AND owner = ?",
                (reason, row_id, self._presence.token),
            )

    def abandon(self, row_id: int) -> None:
        """Settle an intent of this process that nobody works on any more: `failed` if it was not sent, else unknown."""
        with self._database.writing() as db:
            db.execute(
                "UPDATE tasks SET state = CASE WHEN post_started_at IS NULL THEN 'failed' ELSE 'unknown' END, "
                "counted = CASE WHEN post_started_at IS NULL THEN 0 ELSE counted END, reason = ? "
                "WHERE id = ? AND state = 'intent' AND owner = ?",
                (ABANDONED, row_id, self._presence.token),
            )

    def doubt(self, row_id: int, reason: str) -> None:
        """The POST may have arrived and its answer was lost."""
        self._change(
            "UPDATE tasks SET state = 'unknown', reason = ? WHERE id = ? AND task_id IS NULL",
            (storable(reason), row_id),
        )

    # After it ---------------------------------------------------------------------------------------------------

    def row(self, row_id: int) -> TaskRow:
        """A row by its number."""
        return self._one("SELECT * FROM tasks WHERE id = ?", (row_id,))

    def find(self, task_id: str, service: str) -> TaskRow | None:
        """The row of a task, at this service before any other."""
        with self._database.reading() as db:
            row = db.execute(
                "SELECT * FROM tasks WHERE task_id = ? ORDER BY service = ? DESC, id DESC LIMIT 1", (task_id, service)
            ).fetchone()
        return None if row is None else task_row(row)

    def adopt(self, task_id: str, *, service: str, connection: str, base_url: str, began_at: float) -> TaskRow:
        """Take in a task that this ledger did not submit."""
        with self._database.writing() as db:
            known = db.execute("SELECT * FROM tasks WHERE task_id = ? AND service = ?", (task_id, service)).fetchone()
            if known is None:
                db.execute(
                    "INSERT INTO tasks (fingerprint, state, task_id, service, connection, base_url, counted, owner, "
                    "created_at, submitted_at) VALUES ('', 'submitted', ?, ?, ?, ?, 0, ?, ?, ?)",
                    (task_id, service, connection, base_url, self._presence.token, self._clock(), began_at),
                )
                known = db.execute("SELECT * FROM tasks WHERE id = last_insert_rowid()").fetchone()
            return task_row(known)

    def record_result(
        self,
        row_id: int,
        *,
        url: str,
        expires_at: float | None,
        seed: int | None,
        executed_at: float | None,
        completed_at: float | None,
    ) -> None:
        """The video is ready at `url`. A row that is saved already stays so."""
        self._change(
            "UPDATE tasks SET state = CASE state WHEN 'saved' THEN 'saved' ELSE 'succeeded' END, result_url = ?, "
            "result_expires_at = ?, seed = coalesce(?, seed), executed_at = coalesce(?, executed_at), "
            "completed_at = coalesce(?, completed_at) WHERE id = ?",
            (url, expires_at, seed, executed_at, completed_at, row_id),
        )

    def record_saved(self, row_id: int, *, file: str, size: int, sha256: str, video: dict[str, Any]) -> TaskRow:
        """The video is on disk, flushed, under its final name. `file` is relative to the output folder."""
        self._change(
            "UPDATE tasks SET state = 'saved', file = ?, file_size = ?, file_sha256 = ?, video = ?, saved_at = ? "
            "WHERE id = ?",
            (file, size, sha256, json.dumps(video), self._clock(), row_id),
        )
        return self.row(row_id)

    def unfinished(self, max_age_seconds: float) -> list[TaskRow]:
        """Tasks to go on with that no other living process takes care of. They are this process's from now on.

        Where there are none to take over, nothing is written.
        """
        self._presence.show()
        with self._database.reading() as db:
            sql = "SELECT * FROM tasks WHERE state IN ('submitted', 'succeeded') AND created_at > ? ORDER BY id"
            rows = [task_row(row) for row in db.execute(sql, (self._clock() - max_age_seconds,))]
        return [row for row in rows if row.owner == self.token or self._take_over(row)]

    def _take_over(self, row: TaskRow) -> bool:
        if self._presence.alive(row.owner):
            return False
        with self._database.writing() as db:
            # Another process may have been faster.
            sql = "UPDATE tasks SET owner = ? WHERE id = ? AND owner = ?"
            return db.execute(sql, (self.token, row.id, row.owner)).rowcount == 1

    def tidy(self) -> None:
        """Remove the lock files of processes that ended."""
        self._presence.tidy()

    def alive(self, token: str) -> bool:
        """Whether the process with this token still runs."""
        return self._presence.alive(token)

    @property
    def token(self) -> str:
        """This process's own token."""
        return self._presence.token

    # Uploads ----------------------------------------------------------------------------------------------------

    def remember_upload(
        self,
        url: str,
        *,
        sha256: str,
        content: str,
        kind: str,
        storage: str,
        expires_at: float | None,
        seconds: float | None = None,
    ) -> None:
        """Remember what is behind a URL, and until when. See `Uploads.remember`."""
        self._uploads.remember(
            url, sha256=sha256, content=content, kind=kind, storage=storage, expires_at=expires_at, seconds=seconds
        )

    def upload_for(self, sha256: str, storage: str, min_life_seconds: float) -> Upload | None:
        """A URL with this file in this storage that lives for at least this long, or None."""
        return self._uploads.find(sha256, storage, min_life_seconds)

    def media_of(self, url: str) -> Upload | None:
        """What was uploaded under this URL, or None where this ledger did not see it."""
        return self._uploads.of_url(url)

    # ------------------------------------------------------------------------------------------------------------

    def _change(self, sql: str, values: tuple[object, ...]) -> None:
        with self._database.writing() as db:
            if db.execute(sql, values).rowcount != 1:
                raise LedgerError(
                    f"The ledger of paid tasks, {self.path}, changed under this ComfyUI: another process has taken "
                    "this task over. Queue again to go on with it."
                )

    def _one(self, sql: str, values: tuple[object, ...]) -> TaskRow:
        with self._database.reading() as db:
            row = db.execute(sql, values).fetchone()
        if row is None:
            raise LedgerError(f"The ledger of paid tasks, {self.path}, has lost a task. Queue again.")
        return task_row(row)
