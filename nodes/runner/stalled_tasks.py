"""Looks again for tasks that were given up: a wrong key, a full disk or a locked ledger may be fixed by now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ..core.limits import TASK_QUERY_HOURS
from ..ledger import Ledger, TaskRecord

log = logging.getLogger(__name__)

SCAN_SECONDS = 180.0
"""Own choice: links live for an hour, so a video is still there after a few scans; a scan reads one table."""

LONGEST_PAUSE = 16
"""Scans. A task that fails every time is tried less and less often, down to about once an hour."""


class StalledTaskScanner:
    """Scans every `every_seconds` for unfinished tasks of this process that are not tracked, and resumes them."""

    def __init__(
        self,
        ledger: Ledger,
        is_tracked: Callable[[TaskRecord], bool],
        resume: Callable[[TaskRecord], Awaitable[None]],
        every_seconds: float,
    ) -> None:
        self._ledger, self._is_tracked, self._resume = ledger, is_tracked, resume
        self._every_seconds = every_seconds
        self._pauses: dict[int, tuple[int, int]] = {}
        """By record: scans to skip, and how many were skipped the last time."""

    async def run(self) -> None:
        """Scan again and again, until it is cancelled."""
        while True:
            await asyncio.sleep(self._every_seconds)
            try:
                await self._scan()
            except Exception as error:  # whatever it is, the next scan may succeed
                log.debug("Wan 2.7: unfinished tasks could not be scanned: %s", error)

    async def _scan(self) -> None:
        records = await asyncio.to_thread(self._ledger.take_over_unfinished, TASK_QUERY_HOURS * 3600.0)
        self._pauses = {record.id: self._pauses[record.id] for record in records if record.id in self._pauses}
        for record in records:
            if not self._is_tracked(record) and self._is_due(record.id):
                await self._resume(record)

    def _is_due(self, record_id: int) -> bool:
        left, last = self._pauses.get(record_id, (0, 0))
        if left > 0:
            self._pauses[record_id] = (left - 1, last)
            return False
        pause = min(last * 2 + 1, LONGEST_PAUSE)
        self._pauses[record_id] = (pause, pause)
        return True
