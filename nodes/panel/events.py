"""Websocket events that tell every open browser which tasks changed.

The ledger and the runner report changes on their own threads and must not be held up. The changes are collected here
and sent a few times a second at most, on ComfyUI's event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .views import progress_view

if TYPE_CHECKING:
    from ..runner.models import Progress

log = logging.getLogger(__name__)

SendEvent = Callable[[str, "dict[str, Any]"], None]

TASKS_EVENT = "wan27.tasks"
PROGRESS_EVENT = "wan27.progress"
STATUS_EVENT = "wan27.status"

COLLECT_SECONDS = 0.25
"""Time between a change and its event. A download reports every chunk; this is as often as a person can read."""

KEPT = 500
"""Tasks whose latest progress is kept, for a page that is loaded while they run."""


class Announcer:
    """Collects changes and sends them to all browsers by `send`, which is called on `loop`, ComfyUI's event loop.

    `tasks_event` returns the data of TASKS_EVENT for these record ids; it may block.
    """

    def __init__(
        self,
        send: SendEvent,
        tasks_event: Callable[[frozenset[int]], dict[str, Any]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._send, self._tasks_event, self._loop = send, tasks_event, loop
        self._changed: set[int] = set()
        self._progressed: set[str] = set()
        self._latest: dict[str, Progress] = {}
        self._flushing: asyncio.Task[None] | None = None

    def latest(self, task_id: str | None) -> Progress | None:
        """Return the last progress of a task that this process reported."""
        return self._latest.get(task_id or "")

    def records_changed(self, ids: frozenset[int]) -> None:
        """Report tasks that were added or changed. From any thread; returns at once."""
        self._schedule(lambda: self._changed.update(ids))

    def progressed(self, task_id: str, progress: Progress) -> None:
        """Report how far a task is. From any thread; returns at once."""

        def note() -> None:
            self._latest.pop(task_id, None)  # moves it to the end: the oldest are dropped first
            self._latest[task_id] = progress
            while len(self._latest) > KEPT:
                del self._latest[next(iter(self._latest))]
            self._progressed.add(task_id)

        self._schedule(note)

    def _schedule(self, note: Callable[[], None]) -> None:
        def act() -> None:
            note()
            if self._flushing is None:
                self._flushing = asyncio.ensure_future(self._flush())

        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:  # ComfyUI is shutting down
            log.debug("A change could not be reported: the event loop is closed.")

    async def _flush(self) -> None:
        try:
            await asyncio.sleep(COLLECT_SECONDS)
        finally:
            self._flushing = None
        changed, self._changed = frozenset(self._changed), set()
        progressed, self._progressed = self._progressed, set()
        try:
            if progressed:
                views = {task_id: progress_view(self._latest[task_id]) for task_id in progressed & set(self._latest)}
                self._send(PROGRESS_EVENT, {"progress": views})
            if changed:
                self._send(TASKS_EVENT, await asyncio.to_thread(self._tasks_event, changed))
        except Exception:  # the browser sees what it missed when the panel is opened the next time
            log.debug("A change could not be sent to the browsers.", exc_info=True)
