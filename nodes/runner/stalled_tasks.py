"""Looking again for tasks that were given up: a bad key, a full disk or a locked ledger may be mended by now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ..core.event_loop import run_blocking
from ..core.limits import TASK_QUERY_HOURS
from ..ledger.ledger import Ledger
from ..ledger.records import TaskRow

log = logging.getLogger(__name__)

RESCAN_SECONDS = 180.0
"""Own choice: links live for an hour, so a video is still there after a few looks; a look reads one table."""

LONGEST_PAUSE = 16
"""Rounds. What fails each time is asked for more and more seldom, down to about once an hour."""


class Rescan:
    """Picks up this process's unfinished tasks that nobody follows. Lives on the runner's loop.

    Args:
        ledger: has the tasks.
        is_followed: whether somebody is at it.
        resume: goes on with a task, where its connection is the one that is set.
        every_seconds: between two looks.
    """

    def __init__(
        self,
        ledger: Ledger,
        is_followed: Callable[[TaskRow], bool],
        resume: Callable[[TaskRow], Awaitable[None]],
        every_seconds: float,
    ) -> None:
        self._ledger, self._is_followed, self._resume = ledger, is_followed, resume
        self._every_seconds = every_seconds
        self._pauses: dict[int, tuple[int, int]] = {}
        """By row: rounds to let pass, and how many those were the last time."""

    async def run(self) -> None:
        """Look, again and again, until it is cancelled."""
        while True:
            await asyncio.sleep(self._every_seconds)
            try:
                await self._look()
            except Exception as error:  # whatever it is, the next look may go well
                log.debug("Wan 2.7: no look at unfinished tasks now: %s", error)

    async def _look(self) -> None:
        rows = await run_blocking(self._ledger.unfinished, TASK_QUERY_HOURS * 3600.0)
        self._pauses = {row.id: self._pauses[row.id] for row in rows if row.id in self._pauses}
        for row in rows:
            if not self._is_followed(row) and self._is_due(row.id):
                await self._resume(row)

    def _is_due(self, row_id: int) -> bool:
        left, last = self._pauses.get(row_id, (0, 0))
        if left > 0:
            self._pauses[row_id] = (left - 1, last)
            return False
        pause = min(last * 2 + 1, LONGEST_PAUSE)
        self._pauses[row_id] = (pause, pause)
        return True
