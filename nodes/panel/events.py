"""Telling every open browser, through ComfyUI's websocket, what became of tasks.

The ledger and the runner tell of changes on their own threads, and must not be held up. Here they are gathered, and go
out a few times a second at most, on ComfyUI's loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..runner.models import Progress

log = logging.getLogger(__name__)

TASKS_EVENT = "wan27.tasks"
PROGRESS_EVENT = "wan27.progress"

GATHER_SECONDS = 0.25
"""Between a change and its message. A download tells of itself with every chunk; nobody can read faster than this."""

KEPT = 500
"""Tasks whose latest progress is kept for a page that is loaded while they run."""


class Announcer:
    """Gathers changes and gives them out.

    Args:
        announce: gives an event and its data to all browsers; called on `loop`.
        tasks_of: the data of TASKS_EVENT for these row numbers; may block.
        loop: ComfyUI's.
    """

    def __init__(
        self,
        announce: Callable[[str, dict[str, Any]], None],
        tasks_of: Callable[[frozenset[int]], dict[str, Any]],
        progress_of: Callable[[Progress], dict[str, Any]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._announce, self._tasks_of, self._progress_of, self._loop = announce, tasks_of, progress_of, loop
        self._rows: set[int] = set()
        self._moved: set[str] = set()
        self._latest: dict[str, Progress] = {}
        self._due: asyncio.Task[None] | None = None

    def latest(self, task_id: str | None) -> Progress | None:
        """How far a task was when it was last heard of in this process."""
        return self._latest.get(task_id or "")

    def rows_changed(self, ids: frozenset[int]) -> None:
        """From any thread; returns at once."""
        self._post(lambda: self._rows.update(ids))

    def progressed(self, task_id: str, progress: Progress) -> None:
        """From any thread; returns at once."""

        def note() -> None:
            self._latest.pop(task_id, None)  # to the end: the oldest go first
            self._latest[task_id] = progress
            while len(self._latest) > KEPT:
                del self._latest[next(iter(self._latest))]
            self._moved.add(task_id)

        self._post(note)

    def _post(self, note: Callable[[], None]) -> None:
        def act() -> None:
            note()
            if self._due is None:
                self._due = asyncio.ensure_future(self._flush())

        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:  # ComfyUI is ending
            log.debug("Nobody can be told of a change any more.")

    async def _flush(self) -> None:
        try:
            await asyncio.sleep(GATHER_SECONDS)
        finally:
            self._due = None
        rows, self._rows = frozenset(self._rows), set()
        moved, self._moved = self._moved, set()
        try:
            if moved:
                told = {task_id: self._progress_of(self._latest[task_id]) for task_id in moved & set(self._latest)}
                self._announce(PROGRESS_EVENT, {"progress": told})
            if rows:
                self._announce(TASKS_EVENT, await asyncio.to_thread(self._tasks_of, rows))
        except Exception:  # what is not told is seen when the panel is opened next
            log.debug("A change could not be told to the browsers.", exc_info=True)
