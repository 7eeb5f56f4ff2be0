"""The list of tasks that the user sees: what is on it, in pages, and the totals of a day."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from . import budget as budgets
from .database import Database
from .records import State, TaskRecord, from_row

MAX_PAGE_RECORDS = 200
"""Records on one page, at most."""

_HAS_TEXT = (
    "(task_id LIKE :text ESCAPE '\\' OR file LIKE :text ESCAPE '\\' "
    "OR json_extract(request, '$.prompt') LIKE :text ESCAPE '\\')"
)


@dataclass(frozen=True)
class TaskFilter:
    """Which tasks to list.

    Attributes:
        states: only tasks in these; empty for all.
        text: only tasks with it in their id, their prompt or the name of their file; the case of a-z is ignored.
        connection: only tasks of this one; "" for all.
        day: only tasks that were requested on this local day, such as "2026-11-26"; "" for all.
        hidden: those that the user took off the list, instead of the others.
    """

    states: Sequence[State] = ()
    text: str = ""
    connection: str = ""
    day: str = ""
    hidden: bool = False


@dataclass(frozen=True)
class Page:
    """At most MAX_PAGE_RECORDS records, newest first, and the total of all that match.

    `before` is the argument for the next page, None on the last one.
    """

    records: list[TaskRecord]
    total: int
    before: int | None


class HostTotal(NamedTuple):
    """The tasks of one day at one host, hidden ones too, and what those that count in the budget are estimated at."""

    connection: str
    tasks: int
    estimated_usd: float


class TaskList:
    """The table `tasks` as the panel lists it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def records(self, ids: Sequence[int]) -> list[TaskRecord]:
        """Return the records with these ids that exist, newest first."""
        sql = "SELECT * FROM tasks WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id DESC"
        with self._database.reading() as db:
            return [from_row(row) for row in db.execute(sql, (json.dumps(list(ids)),))]

    def ids(self, wanted: TaskFilter) -> list[int]:
        """Return the ids of all records that match, newest first."""
        condition, values = _condition(wanted)
        sql = f"SELECT id FROM tasks WHERE {condition} ORDER BY id DESC"  # noqa: S608 - constants
        with self._database.reading() as db:
            return [row[0] for row in db.execute(sql, values)]

    def counts(self) -> tuple[int, int]:
        """Return the number of tasks on the list, and of all, with those that the user took off it."""
        with self._database.reading() as db:
            hidden, ever = db.execute("SELECT total(hidden), count(*) FROM tasks").fetchone()
        return ever - int(hidden), ever

    def host_totals(self, day: str) -> list[HostTotal]:
        """Return the totals of a local day, such as "2026-11-26", by host, the highest first.

        A request that was given up before it was sent does not count.
        """
        sql = (
            "SELECT connection, count(*), total(estimate * counted) FROM tasks "
            "WHERE created_at >= ? AND created_at < ? "
            "AND (state != 'failed' OR post_started_at IS NOT NULL OR task_id IS NOT NULL) "
            "GROUP BY connection ORDER BY 3 DESC, 2 DESC"
        )
        with self._database.reading() as db:
            return [HostTotal(*row) for row in db.execute(sql, budgets.day_bounds(day))]

    def page(self, wanted: TaskFilter | None = None, *, before: int | None = None, limit: int = 50) -> Page:
        """Return one page of tasks: `limit` (1 to MAX_PAGE_RECORDS) of those that match, with ids below `before`."""
        limit = max(1, min(limit, MAX_PAGE_RECORDS))
        ids = self.ids(wanted or TaskFilter())
        rest = ids if before is None else [each for each in ids if each < before]
        return Page(self.records(rest[:limit]), len(ids), rest[limit - 1] if len(rest) > limit else None)


def _condition(wanted: TaskFilter) -> tuple[str, dict[str, object]]:
    """Return a filter as SQL and its values, with what it does not ask for left out: then an index has all columns."""
    escaped = wanted.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    since, until = budgets.day_bounds(wanted.day) if wanted.day else (0.0, 0.0)
    parts = {
        "hidden = :hidden": True,
        "state IN (SELECT value FROM json_each(:states))": wanted.states,
        "connection = :connection": wanted.connection,
        "created_at >= :since AND created_at < :until": wanted.day,
        _HAS_TEXT: escaped,
    }
    values = {
        "hidden": wanted.hidden,
        "states": json.dumps(list(wanted.states)),
        "connection": wanted.connection,
        "since": since,
        "until": until,
        "text": f"%{escaped}%",
    }
    return " AND ".join(part for part, is_wanted in parts.items() if is_wanted), values
