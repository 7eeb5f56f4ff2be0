"""Reading the ledger page by page, for people who look at it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from .database import Database
from .records import State, TaskRow, task_row

_WANTED = """
    (:states = '[]' OR state IN (SELECT value FROM json_each(:states)))
    AND (:text = '' OR task_id LIKE :text ESCAPE '\\' OR file LIKE :text ESCAPE '\\'
         OR json_extract(request, '$.prompt') LIKE :text ESCAPE '\\')
"""
_COUNT = "SELECT count(*) FROM tasks WHERE" + _WANTED  # noqa: S608 - constants
_PAGE = "SELECT * FROM tasks WHERE (:before IS NULL OR id < :before) AND" + _WANTED + "ORDER BY id DESC LIMIT :limit"  # noqa: S608
_ROWS = "SELECT * FROM tasks WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id DESC"

MOST_ROWS = 200
"""Rows of one page, at most."""


@dataclass(frozen=True)
class Page:
    """Rows, newest first. `total` counts all that match; `before` asks for the next page, None at the end."""

    rows: list[TaskRow]
    total: int
    before: int | None


class Browse:
    """The part of the ledger that is looked at. Every method raises LedgerError where the file cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, *, before: int | None = None, limit: int = 50, states: Sequence[State] = (), text: str = "") -> Page:
        """One page of tasks.

        Args:
            before: `before` of the page above; None for the newest.
            limit: rows, 1 to MOST_ROWS.
            states: only these; empty for all.
            text: only tasks with it in their id, their prompt or the name of their file; capitals of a-z do not matter.
        """
        limit = max(1, min(limit, MOST_ROWS))
        values = {"states": json.dumps(list(states)), "text": _pattern(text), "before": before, "limit": limit + 1}
        with self._database.reading() as db:
            total = int(db.execute(_COUNT, values).fetchone()[0])
            found = db.execute(_PAGE, values).fetchall()
        rows = [task_row(row) for row in found]
        more = len(rows) > limit
        rows = rows[:limit]
        return Page(rows, total, rows[-1].id if more else None)

    def rows(self, ids: Sequence[int]) -> list[TaskRow]:
        """These rows, those that there are, newest first."""
        with self._database.reading() as db:
            found = db.execute(_ROWS, (json.dumps(list(ids)),)).fetchall()
        return [task_row(row) for row in found]


def _pattern(text: str) -> str:
    """For LIKE; "" where anything will do."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%" if text else ""
