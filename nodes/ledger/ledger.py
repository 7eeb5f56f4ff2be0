"""The ledger: every paid task, on disk before any money is spent.

The states of a record:  intent → (post_started_at set) → submitted → succeeded → saved,
                         or failed (there is no video), or unknown (possibly paid, the answer was lost).

What makes one request one POST, across threads, processes and crashes:
- `claim` decides and reserves in one transaction that excludes every other writer.
- An intent belongs to its `owner`. As long as that process lives, others wait for it instead of sending.
- `begin_post` is committed right before the POST leaves, and refuses a record that is no longer this process's intent.
- ComfyUI may run a node again within one prompt: its outputs were dropped from the cache, or it is in a loop. Equal
  requests then get the tasks that the node has in this prompt, also if they ask for others.
- An intent whose owner died becomes `failed` (never sent, safe to send again) without that mark, and `unknown` with it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..config import Budget
from ..core.errors import LedgerError, reason_of
from ..core.limits import TASK_QUERY_HOURS
from ..core.process_lock import ProcessLock
from . import budget as budgets
from .balances import Balances, KnownBalance, check_balance
from .database import Database
from .records import (
    INSERT_RECORD,
    RUNNING_STATES,
    UNFINISHED_STATES,
    FinishedRun,
    TaskRecord,
    from_row,
    storable,
    to_row,
)
from .recovery_log import RecoveryLog
from .task_list import TaskList
from .uploads import Uploads
from .workflows import Workflows

log = logging.getLogger(__name__)

HISTORY = 500
"""The latest tasks of a service that show how long it takes: its speed changes."""

NEVER_SENT = "never sent"
ANSWER_LOST = "ComfyUI ended while the request was on its way, so its answer was never read."
ABANDONED = "its outcome could not be recorded when it was known"

_SUBMITTED = "state = 'submitted', task_id = :task_id, handle = :handle, reason = '', hidden = 0"
_OWN_INTENT = "state = 'intent' AND owner = :me"
_SETTLED = (
    "state = CASE WHEN post_started_at IS NULL THEN 'failed' ELSE 'unknown' END, "
    "counted = CASE WHEN post_started_at IS NULL THEN 0 ELSE counted END, reason = :reason"
)

OnChange = Callable[[frozenset[int]], None]
"""Receives the ids of the records that a transaction added or changed, after its commit. Must return at once."""


class UnresolvedRequestsError(Exception):
    """Requests that were sent before and whose outcome is unknown: `records` by their index in the claim."""

    def __init__(self, records: dict[int, TaskRecord]) -> None:
        super().__init__()
        self.records = records


class BalanceRequiredError(Exception):
    """Records are new, and [budget] min_balance_usd asks for the balance; nothing was reserved."""


class Ledger:
    """The table `tasks`, and beside it `task_list`, `uploads`, `balances`, `workflows`, `process_lock` and `database`.

    Usable from any thread.

    Every method is one short transaction and raises LedgerError if the file cannot be used.

    Args:
        path: the SQLite file. Lock files go into `<stem>-locks` beside it.
        clock: returns seconds since 1970; also available as `now`.
        busy_seconds: how long to wait while another process writes.
        on_change: is told about every task that this process adds or changes.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.time,
        busy_seconds: float = 10.0,
        on_change: OnChange | None = None,
    ) -> None:
        self.now = clock
        self.database = Database(path, busy_seconds=busy_seconds)
        self.process_lock = ProcessLock(path.with_name(f"{path.stem}-locks"))
        self.task_list = TaskList(self.database)
        self.uploads = Uploads(self.database, clock)
        self.balances = Balances(self.database, clock)
        self.workflows = Workflows(path.with_name("workflows"))
        self._recovery_log = RecoveryLog(path.with_name(f"{path.stem}-rescue.jsonl"))
        self._on_change = on_change

    def close(self) -> None:
        """Close the file and release the process lock; the next use opens both again."""
        self.database.close()
        self.process_lock.release()

    # Reserving ------------------------------------------------------------------------------------------------------

    def claim(
        self,
        wanted: Sequence[TaskRecord],
        *,
        reuse: Sequence[bool],
        budget: Budget | None,
        balance: KnownBalance | None = None,
        elsewhere: Sequence[Sequence[str]] | None = None,
        check_new: Callable[[int], None] = lambda index: None,
    ) -> list[tuple[TaskRecord, bool]]:
        """Return for each wanted record the one to continue with, and whether it is a new intent of this process.

        All or nothing. Equal records in one call share one new intent unless they ask for one each.

        Args:
            wanted: records without an id, all of one run.
            reuse: for each whether any record of the same request will do. If not, only one that the same node has in
                the same prompt will: the first one for the first of several equal records, the second for the second.
            budget: None for no limit.
            balance: of the account, None if it was not asked for yet. Only new records need it.
            elsewhere: for each the fingerprints, of either kind, of the same request at other services.
            check_new: called with the index of each new record. If it raises, nothing was reserved.

        Raises:
            UnresolvedRequestsError: the state of a matching record is `unknown`; nothing was reserved.
            BalanceRequiredError: claim again with the balance; nothing was reserved.
            BudgetError: the new records together would exceed the budget; nothing was reserved.
        """
        equal = [
            [record.fingerprint, record.file_fingerprint, *others]
            for record, others in zip(wanted, elsewhere or [()] * len(wanted), strict=True)
        ]
        self.recover([each for fingerprints in equal for each in fingerprints])
        with self._changing() as (db, changed):
            found = self._existing_records(db, wanted, equal, reuse, changed)
            # Read before the inserts, which count as spent and reserved.
            spent = self.spent(wanted[0].run_id) if wanted else (0.0, 0.0)
            reserved = 0.0 if balance is None else self.balances.reserved(balance)
            claimed = self._insert_missing(db, wanted, found, reuse, changed, check_new)
            costs = [record.estimate or 0.0 for record, is_new in claimed if is_new and record.counted]
            if budget is not None and costs:
                run, day = spent
                budgets.check(sum(costs), budget=budget, spent_in_run=run, spent_today=day, videos=len(costs))
                if budget.min_balance_usd:
                    if balance is None:
                        raise BalanceRequiredError
                    check_balance(sum(costs), balance=balance, reserved=reserved, budget=budget)
            return claimed

    def _existing_records(
        self,
        db: sqlite3.Connection,
        wanted: Sequence[TaskRecord],
        equal: Sequence[Sequence[str]],
        reuse: Sequence[bool],
        changed: set[int],
    ) -> list[TaskRecord | None]:
        """Return for each wanted record the existing one to continue with, and put it back on the list.

        Raises UnresolvedRequestsError if the state of one is `unknown`.
        """
        found: list[TaskRecord | None] = []
        taken: list[int] = []
        for one, same, again in zip(wanted, equal, reuse, strict=True):
            found.append(self._reusable(db, one, same, changed) if again else self._of_same_run(one, same, taken))
        unknown = {i: record for i, record in enumerate(found) if record is not None and record.state == "unknown"}
        if unknown:
            raise UnresolvedRequestsError(unknown)
        for record in found:
            if record is not None and record.hidden:
                db.execute("UPDATE tasks SET hidden = 0 WHERE id = ?", (record.id,))
                changed.add(record.id)
        return found

    def _insert_missing(
        self,
        db: sqlite3.Connection,
        wanted: Sequence[TaskRecord],
        found: Sequence[TaskRecord | None],
        reuse: Sequence[bool],
        changed: set[int],
        check_new: Callable[[int], None],
    ) -> list[tuple[TaskRecord, bool]]:
        """Return the records that were found and new ones for the rest, each with whether it is new."""
        made: dict[str, TaskRecord] = {}
        claimed: list[tuple[TaskRecord, bool]] = []
        for index, (one, again, record) in enumerate(zip(wanted, reuse, found, strict=True)):
            is_new = record is None and not (again and one.fingerprint in made)
            if is_new:
                check_new(index)
                made[one.fingerprint] = self._insert(db, one, changed)
            claimed.append((record or made[one.fingerprint], is_new))
        return claimed

    def _reusable(
        self, db: sqlite3.Connection, wanted: TaskRecord, equal: Sequence[str], changed: set[int]
    ) -> TaskRecord | None:
        """Return the newest equal record that has or will have a video, else an unknown one; ignore failed ones."""
        record = self._first(
            "WITH equal AS (SELECT value FROM json_each(:equal)) "
            "SELECT * FROM tasks WHERE (fingerprint IN equal OR file_fingerprint IN equal) AND state != 'failed' "
            "ORDER BY state = 'unknown', id DESC LIMIT 1",
            {"equal": json.dumps(equal)},
        )
        # Records of the ledger's first version identify media by their files only. Now that the content is known, keep
        # it, so that the record is also found when the next encoder makes other files of the same media.
        is_old = record is not None and record.fingerprint == record.file_fingerprint != wanted.fingerprint
        if record is not None and is_old and record.service == wanted.service:
            db.execute("UPDATE tasks SET fingerprint = ? WHERE id = ?", (wanted.fingerprint, record.id))
            changed.add(record.id)
        return record

    def _of_same_run(self, wanted: TaskRecord, equal: Sequence[str], taken: list[int]) -> TaskRecord | None:
        """Take the oldest equal record of this node in this prompt that is not taken yet; ignore failed ones."""
        if not wanted.prompt_id or not wanted.node_id:
            return None
        record = self._first(
            "WITH equal AS (SELECT value FROM json_each(:equal)) "
            "SELECT * FROM tasks WHERE (fingerprint IN equal OR file_fingerprint IN equal) "
            "AND prompt_id = :prompt_id AND node_id = :node_id AND state != 'failed' "
            "AND id NOT IN (SELECT value FROM json_each(:taken)) ORDER BY id LIMIT 1",
            {
                "equal": json.dumps(equal),
                "prompt_id": wanted.prompt_id,
                "node_id": wanted.node_id,
                "taken": json.dumps(taken),
            },
        )
        if record is not None:
            taken.append(record.id)
        return record

    def _insert(self, db: sqlite3.Connection, record: TaskRecord, changed: set[int]) -> TaskRecord:
        record = replace(record, owner=self.process_lock.token, created_at=self.now())
        record_id = db.execute(INSERT_RECORD, to_row(record)).lastrowid
        assert record_id is not None
        changed.add(record_id)
        return replace(record, id=record_id)

    def recover(self, fingerprints: Sequence[str] | None = None) -> None:
        """Settle the intents of processes that died: `failed` if nothing was sent, else `unknown`.

        With `fingerprints` (of either kind), settle only the records that have one of them.
        """
        self._lock_process()
        self._replay_recovery_log()
        for record in self._select("SELECT * FROM tasks WHERE state = 'intent'"):
            is_wanted = fingerprints is None or {record.fingerprint, record.file_fingerprint} & set(fingerprints)
            if is_wanted and not self.process_lock.is_held_by(record.owner):
                reason = NEVER_SENT if record.post_started_at is None else ANSWER_LOST
                self._update(record.id, _SETTLED, "state = 'intent'", required=False, reason=reason)

    def _replay_recovery_log(self) -> None:
        """Write the task ids of the recovery log into the ledger. Those that it has already change nothing.

        The time must fit too: in a ledger that was started over, the ids of the records mean other tasks.
        """
        for record_id, task_id, handle, at in self._recovery_log.replay():
            self._update(
                record_id,
                f"{_SUBMITTED}, submitted_at = :at",
                "task_id IS NULL AND post_started_at <= :at AND state IN ('intent', 'unknown')",
                required=False,
                task_id=task_id,
                handle=json.dumps(dict(handle)),
                at=at,
            )

    def spent(self, run_id: str = "") -> tuple[float, float]:
        """Return the estimated USD of this run and of today: everything sent or reserved, unknown outcomes included."""
        total = "SELECT total(estimate) FROM tasks WHERE counted = 1 AND "
        with self.database.reading() as db:
            run = db.execute(total + "run_id = ?", (run_id,)).fetchone()[0]
            day = db.execute(total + "created_at >= ?", (budgets.day_start(self.now()),)).fetchone()[0]
        return float(run), float(day)

    # The POST -------------------------------------------------------------------------------------------------------

    def begin_post(self, record_id: int) -> None:
        """Mark that the POST may leave from now on. Must be called, and have returned, before it does.

        Raises LedgerError if the record is no longer this process's intent: another process may have sent it.
        """
        self._update(record_id, "post_started_at = :now", _OWN_INTENT)

    def post_not_delivered(self, record_id: int) -> None:
        """Take the mark back: the POST certainly never arrived."""
        self._update(record_id, "post_started_at = NULL", _OWN_INTENT)

    def record_task(self, record_id: int, task_id: str, handle: Mapping[str, str] | None = None) -> None:
        """Put the task id on disk: the first thing that happens with it. If the ledger refuses, beside it.

        `handle` is what the host wants to be kept beside it; both are written at once.

        There is no condition on state or owner: whatever the record became meanwhile, this task was paid for.
        Raises LedgerError if neither was possible; the log contains the task id.
        """
        try:
            change = f"{_SUBMITTED}, submitted_at = :now"
            written = storable(json.dumps(dict(handle or {})))
            self._update(record_id, change, "task_id IS NULL", task_id=task_id, handle=written)
        except LedgerError as error:
            log.error("Task %s was paid for, and the ledger could not record it: %s", task_id, error)
            self._recovery_log.append(record_id, task_id, handle or {}, self.now())

    def mark_unknown(self, record_id: int, reason: str) -> None:
        """Record that the POST may have arrived, and its answer was lost."""
        change = "state = 'unknown', reason = :reason"
        self._update(record_id, change, "task_id IS NULL", reason=storable(reason))

    def fail(self, record_id: int, reason: str, *, billed: bool) -> None:
        """End a task without a video. billed: False if it certainly cost nothing, which frees its budget."""
        change = "state = 'failed', reason = :reason, counted = counted AND :billed"
        self._update(record_id, change, reason=storable(reason), billed=billed)

    def withdraw(self, record_id: int, reason: str) -> None:
        """Give up an intent that was not sent; does nothing to any other record."""
        change = "state = 'failed', counted = 0, reason = :reason"
        self._update(record_id, change, f"{_OWN_INTENT} AND post_started_at IS NULL", required=False, reason=reason)

    def adopt_lost(
        self,
        record_id: int,
        candidates: Mapping[str, Mapping[str, str]],
        *,
        fits: Callable[[TaskRecord, str], bool],
        certain: Container[str],
    ) -> list[str]:
        """Give an unknown record its task, if exactly one candidate fits it and can be no other record's.

        The ledger decides in one transaction, so that no other process can adopt or record the same task meanwhile.

        Args:
            candidates: what the host wants to be kept of each, by task id.
            fits: whether a record can have led to a candidate.
            certain: the candidates of which enough is known to adopt them.

        Returns: the ids of the candidates that fit the record, and belong to no other.
        """
        with self._changing() as (db, changed):
            known = self.known_task_ids(list(candidates))
            # Its POST may have created the candidate just as well: also while its answer is still on the way.
            open_ones = self._select(
                "SELECT * FROM tasks WHERE task_id IS NULL AND post_started_at IS NOT NULL "
                "AND state IN ('intent', 'unknown')"
            )
            record = next((one for one in open_ones if one.id == record_id and one.state == "unknown"), None)
            if record is None:
                return []
            rivals = [one for one in open_ones if one.id != record_id and one.connection == record.connection]
            fitting = [task_id for task_id in candidates if task_id not in known and fits(record, task_id)]
            is_only = len(fitting) == 1 and fitting[0] in certain
            if is_only and not any(fits(rival, fitting[0]) for rival in rivals):
                db.execute(
                    f"UPDATE tasks SET {_SUBMITTED}, owner = :me, submitted_at = post_started_at WHERE id = :id",  # noqa: S608
                    {
                        "id": record_id,
                        "task_id": fitting[0],
                        "handle": json.dumps(dict(candidates[fitting[0]])),
                        "me": self.process_lock.token,
                    },
                )
                changed.add(record_id)
            return fitting

    def hide(self, record_id: int) -> bool:
        """Take a task off the list; return False if its video may still arrive.

        After TASK_QUERY_HOURS without a video, the service has forgotten the task.
        """
        condition = "(state NOT IN (SELECT value FROM json_each(:running)) OR created_at < :forgotten)"
        running, forgotten = json.dumps(RUNNING_STATES), self.now() - TASK_QUERY_HOURS * 3600.0
        return self._update(record_id, "hidden = 1", condition, required=False, running=running, forgotten=forgotten)

    def show(self, record_id: int) -> bool:
        """Put a task back on the list; return False if there is none."""
        return self._update(record_id, "hidden = 0", required=False)

    def forget_workflow(self, prompt_id: str) -> None:
        """Delete the workflow of a prompt, unless a task of it is on the list."""
        sql = "SELECT * FROM tasks WHERE prompt_id = ? AND hidden = 0 LIMIT 1"
        if self._first(sql, (prompt_id,)) is None:
            self.workflows.delete(prompt_id)

    def abandon(self, record_id: int) -> None:
        """Settle an intent that this process no longer works on: `failed` if it was not sent, else `unknown`."""
        self._update(record_id, _SETTLED, _OWN_INTENT, required=False, reason=ABANDONED)

    # The task -------------------------------------------------------------------------------------------------------

    def adopt(self, task: TaskRecord) -> TaskRecord:
        """Add a task that this ledger did not submit, unless it is there by now. `task` is a record without an id."""
        with self._changing() as (db, changed):
            sql = "SELECT * FROM tasks WHERE task_id = ? AND service = ?"
            return self._first(sql, (task.task_id, task.service)) or self._insert(db, task, changed)

    def record_result(self, record: TaskRecord) -> None:
        """Record where the video is ready. The state of a saved record stays, and so does what is None here."""
        change = (
            "state = CASE state WHEN 'saved' THEN 'saved' ELSE 'succeeded' END, result_url = :result_url, "
            "result_expires_at = :result_expires_at, seed = coalesce(:seed, seed), "
            "executed_at = coalesce(:executed_at, executed_at), completed_at = coalesce(:completed_at, completed_at)"
        )
        self._update(record.id, change, **to_row(record))

    def record_saved(self, record: TaskRecord) -> None:
        """Record that the video is on disk, flushed, as `file`, which is relative to the output folder."""
        change = (
            "state = 'saved', file = :file, file_size = :file_size, file_sha256 = :file_sha256, video = :video, "
            "saved_at = :now, hidden = 0"
        )
        self._update(record.id, change, **to_row(record))

    def take_over_unfinished(self, max_age_seconds: float) -> list[TaskRecord]:
        """Return the tasks to continue with that no other living process takes care of, and make them this process's.

        Nothing is written if there are none to take over.
        """
        self._lock_process()
        records = self._select(
            "SELECT * FROM tasks WHERE state IN (?, ?) AND created_at > ? ORDER BY id",
            (*UNFINISHED_STATES, self.now() - max_age_seconds),
        )
        return [record for record in records if record.owner == self.process_lock.token or self._take_over(record)]

    def _lock_process(self) -> None:
        try:
            self.process_lock.acquire()
        except OSError as error:
            raise LedgerError(
                f"The folder {self.process_lock.directory} cannot hold a lock file ({reason_of(error)}). "
                "Without it two ComfyUI processes could pay for the same video, so nothing is sent. Make the folder "
                "writable, or put ComfyUI's user directory on a local disk."
            ) from error

    def _take_over(self, record: TaskRecord) -> bool:
        if self.process_lock.is_held_by(record.owner):
            return False
        # Another process may have been faster.
        return self._update(record.id, "owner = :me", "owner = :owner", required=False, owner=record.owner)

    # Reading --------------------------------------------------------------------------------------------------------

    def get(self, record_id: int) -> TaskRecord:
        """Return a record by its id."""
        record = self._first("SELECT * FROM tasks WHERE id = ?", (record_id,))
        if record is None:
            raise LedgerError(f"The ledger of paid tasks, {self.database.path}, has lost a task. Queue again.")
        return record

    def find(self, task_id: str, service: str) -> TaskRecord | None:
        """Return the record of a task, at this service before any other."""
        sql = "SELECT * FROM tasks WHERE task_id = ? ORDER BY service = ? DESC, id DESC LIMIT 1"
        return self._first(sql, (task_id, service))

    def known_task_ids(self, task_ids: Sequence[str]) -> set[str]:
        """Return those of the task ids that the ledger has, at whatever service."""
        sql = "SELECT DISTINCT task_id FROM tasks WHERE task_id IN (SELECT value FROM json_each(?))"
        with self.database.reading() as db:
            return {row[0] for row in db.execute(sql, (json.dumps(list(task_ids)),))}

    def unknown(self, max_age_seconds: float) -> list[TaskRecord]:
        """Return the records whose outcome is unknown, oldest first."""
        sql = "SELECT * FROM tasks WHERE state = 'unknown' AND created_at > ? ORDER BY id"
        return self._select(sql, (self.now() - max_age_seconds,))

    def known_requests(self) -> list[Mapping[str, Any]]:
        """Return the requests that have or will have a video, as stored: unset fields left out, media by content."""
        sql = "SELECT DISTINCT request FROM tasks WHERE fingerprint != '' AND state != 'failed'"
        with self.database.reading() as db:
            return [json.loads(row[0]) for row in db.execute(sql)]

    def billing_services(self) -> list[str]:
        """Return all services that tasks were submitted to, but the sandbox."""
        with self.database.reading() as db:
            return [row[0] for row in db.execute("SELECT DISTINCT service FROM tasks WHERE connection != 'sandbox'")]

    def finished_runs(self, service: str) -> list[FinishedRun]:
        """Return how long the latest finished tasks of a service took, newest first."""
        sql = (
            "SELECT json_extract(request, '$.resolution'), json_extract(request, '$.duration'), "
            "completed_at - submitted_at FROM tasks WHERE service = ? AND completed_at > submitted_at "
            "ORDER BY id DESC LIMIT ?"
        )
        with self.database.reading() as db:
            return [FinishedRun(*row) for row in db.execute(sql, (service, HISTORY))]

    def _select(self, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[TaskRecord]:
        with self.database.reading() as db:
            return [from_row(row) for row in db.execute(sql, values)]

    def _first(self, sql: str, values: Sequence[object] | Mapping[str, object]) -> TaskRecord | None:
        return next(iter(self._select(sql, values)), None)

    # Writing --------------------------------------------------------------------------------------------------------

    def _update(
        self, record_id: int, change: str, condition: str = "1", *, required: bool = True, **values: object
    ) -> bool:
        """Change one record in a transaction of its own, and announce it. Return whether the record was changed.

        `change` and `condition` are SQL. They can use `values`, :now and :me (the token of this process).
        If `required`, raise LedgerError when the record does not meet the condition.
        """
        sql = f"UPDATE tasks SET {change} WHERE id = :id AND {condition}"  # noqa: S608 - constants
        common = {"id": record_id, "now": self.now(), "me": self.process_lock.token}
        with self._changing() as (db, changed):
            if db.execute(sql, {**common, **values}).rowcount == 1:
                changed.add(record_id)
                return True
            if required:
                raise LedgerError(
                    f"The ledger of paid tasks, {self.database.path}, was changed by another process, which has taken "
                    "this task over. Queue again to continue with it."
                )
            return False

    @contextlib.contextmanager
    def _changing(self) -> Iterator[tuple[sqlite3.Connection, set[int]]]:
        """Open a transaction. The records whose ids are added to the set are announced after the commit."""
        changed: set[int] = set()
        with self.database.writing() as db:
            yield db, changed
        if changed and self._on_change is not None:
            try:
                self._on_change(frozenset(changed))
            except Exception:
                # What was committed must never look like a failure to the caller, who may have paid.
                log.exception("Wan 2.7: a change of the ledger could not be announced.")
