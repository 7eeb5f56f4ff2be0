"""Claims: who sends a request, decided once for all threads and processes that share a ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from ..config.settings import Budget
from . import budget as budgets
from .database import Database
from .process_lock import Presence
from .records import Claim, Claimed, TaskRow, task_row
from .recovery_log import Rescue

NEVER_SENT = "never sent"
LOST = "ComfyUI ended while the request was on its way, so its answer was never read."


class InDoubt(Exception):  # noqa: N818 - the runner makes the error of it
    """Requests whose outcome is unknown: `rows` by index in the claims."""

    def __init__(self, rows: dict[int, TaskRow]) -> None:
        super().__init__()
        self.rows = rows


class Claims:
    """The part of the ledger that reserves. See `Ledger` for the promises."""

    def __init__(self, database: Database, presence: Presence, rescue: Rescue, clock: Callable[[], float]) -> None:
        self._database, self._presence, self._rescue, self._clock = database, presence, rescue, clock

    def claim(self, claims: Sequence[Claim], budget: Budget | None) -> list[Claimed]:
        """For each claim the row to go on with: an existing one, or a new intent of this process.

        All or nothing. Equal claims in one call share one new row unless they ask for another each.

        Raises:
            InDoubt: a claim leads to a row in state `unknown`; no intent was made.
            BudgetError: the new rows together would pass the budget; none was made.
        """
        self._presence.show()
        self.recover([one for claim in claims for one in (claim.fingerprint, claim.file_fingerprint)])
        with self._database.writing() as db:
            found = [self._reusable(db, claim) if claim.reuse else None for claim in claims]
            doubtful = {i: row for i, row in enumerate(found) if row is not None and row.state == "unknown"}
            if doubtful:
                raise InDoubt(doubtful)
            new = _to_insert(claims, found)
            if budget is not None:
                self._check_budget(db, new, budget)
            made: dict[str, TaskRow] = {}
            answers = []
            for claim, row in zip(claims, found, strict=True):
                if row is not None:
                    answers.append(Claimed(row, new=False))
                elif claim.reuse and claim.fingerprint in made:
                    answers.append(Claimed(made[claim.fingerprint], new=False))
                else:
                    made[claim.fingerprint] = inserted = self._insert(db, claim)
                    answers.append(Claimed(inserted, new=True))
            return answers

    def _reusable(self, db: sqlite3.Connection, claim: Claim) -> TaskRow | None:
        """The newest row that has or will have a video; else one in doubt; failed ones do not count."""
        row = db.execute(
            "SELECT * FROM tasks WHERE (fingerprint = ? OR file_fingerprint = ?) AND state != 'failed' "
            "ORDER BY state = 'unknown', id DESC LIMIT 1",
            (claim.fingerprint, claim.file_fingerprint),
        ).fetchone()
        if row is None:
            return None
        # Rows of the ledger's first version know their files only. Now that this one's media are seen, keep what they
        # show, so that it is found with the next encoder as well.
        db.execute(
            "UPDATE tasks SET fingerprint = ? WHERE id = ? AND fingerprint = file_fingerprint AND fingerprint != ?",
            (claim.fingerprint, row["id"], claim.fingerprint),
        )
        return task_row(row)

    def _insert(self, db: sqlite3.Connection, claim: Claim) -> TaskRow:
        cursor = db.execute(
            "INSERT INTO tasks (fingerprint, file_fingerprint, state, service, connection, base_url, request, "
            "estimate, counted, run_id, prompt_id, node_id, owner, created_at) "
            "VALUES (?, ?, 'intent', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                claim.fingerprint,
                claim.file_fingerprint,
                claim.service,
                claim.connection,
                claim.base_url,
                claim.request,
                claim.estimate,
                claim.counted,
                claim.run_id,
                claim.prompt_id,
                claim.node_id,
                self._presence.token,
                self._clock(),
            ),
        )
        return task_row(db.execute("SELECT * FROM tasks WHERE id = ?", (cursor.lastrowid,)).fetchone())

    def _check_budget(self, db: sqlite3.Connection, new: Sequence[Claim], budget: Budget) -> None:
        counted = [claim for claim in new if claim.counted]
        if counted:
            run, day = _spent(db, counted[0].run_id, self._clock())
            cost = sum(claim.estimate for claim in counted)
            budgets.check(cost, budget=budget, spent_in_run=run, spent_today=day, videos=len(counted))

    def spent(self, run_id: str) -> tuple[float, float]:
        """USD estimated for this run so far, and for today: what was sent or is reserved, doubtful ones included."""
        with self._database.reading() as db:
            return _spent(db, run_id, self._clock())

    def recover(self, fingerprints: Sequence[str] | None = None) -> list[TaskRow]:
        """Settle the intents of processes that died: `failed` where surely nothing was sent, else `unknown`.

        Args:
            fingerprints: only these, by what their media show or by their files; None for all.

        Returns: the rows that are `unknown` now.
        """
        self._presence.show()
        self._rescue.fold_in(self._database)
        with self._database.writing() as db:
            wanted = None if fingerprints is None else set(fingerprints)
            rows = [
                task_row(row)
                for row in db.execute("SELECT * FROM tasks WHERE state = 'intent'")
                if wanted is None or not wanted.isdisjoint((row["fingerprint"], row["file_fingerprint"]))
            ]
            dead = [row for row in rows if not self._presence.alive(row.owner)]
            lost = [row for row in dead if row.post_started_at is not None]
            db.executemany(
                "UPDATE tasks SET state = 'failed', counted = 0, reason = ? WHERE id = ? AND state = 'intent'",
                [(NEVER_SENT, row.id) for row in dead if row.post_started_at is None],
            )
            db.executemany(
                "UPDATE tasks SET state = 'unknown', reason = ? WHERE id = ? AND state = 'intent'",
                [(LOST, row.id) for row in lost],
            )
        return lost


def _to_insert(claims: Sequence[Claim], found: Sequence[TaskRow | None]) -> list[Claim]:
    """The claims that will become new rows."""
    new: list[Claim] = []
    seen: set[str] = set()
    for claim, row in zip(claims, found, strict=True):
        if row is None and not (claim.reuse and claim.fingerprint in seen):
            seen.add(claim.fingerprint)
            new.append(claim)
    return new


def _spent(db: sqlite3.Connection, run_id: str, now: float) -> tuple[float, float]:
    run = db.execute("SELECT total(estimate) FROM tasks WHERE counted = 1 AND run_id = ?", (run_id,)).fetchone()[0]
    day = db.execute(
        "SELECT total(estimate) FROM tasks WHERE counted = 1 AND created_at >= ?", (budgets.day_start(now),)
    ).fetchone()[0]
    return float(run), float(day)
