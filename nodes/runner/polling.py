"""Asking how far a task is, until it has ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import httpx

from ..api.client import ServiceClient
from ..api.connection import Connection
from ..api.retry import pause_before_next_poll, worth_asking_again
from ..api.task import TaskResult, TaskState
from ..config.settings import Polling
from ..core.backoff import LONGEST_RETRY_AFTER, Backoff, jitter
from ..core.errors import RateLimitError, TaskErrorReported, TaskNotFoundError, WaitTimeoutError, Wan27Error
from ..core.limits import TASK_QUERY_HOURS
from ..ledger.ledger import Ledger
from ..ledger.records import TaskRow
from . import messages
from .models import Finished, Progress, service_of
from .rate_limiter import Limiter

log = logging.getLogger(__name__)

NOT_FOUND_GRACE_SECONDS = 60.0
"""A task that was submitted this recently may not be known everywhere at the service yet."""
NOT_FOUND_IN_A_ROW = 3
"""An older one is given up after so many answers of this kind."""

FAILURES_IN_A_ROW = 5
"""A task counts as failed after so many errors that say so instead of a state. One alone comes with the service's own
trouble (it is a 5xx), and to believe it too early would have the task paid for again; the pauses between them grow."""

OnUpdate = Callable[[Progress], None]

Observer = Callable[[str, Progress], None]
"""Told the task id and how far it is, of every task; unlike a listener it does not count as somebody who waits."""


class Task:
    """A task being followed. `outcome` brings its video to whoever waits, on any loop."""

    def __init__(self, task_id: str, connection: Connection, observer: Observer | None = None) -> None:
        self.task_id = task_id
        self.connection = connection
        self.outcome: Future[Finished] = Future()
        self.listeners: list[OnUpdate] = []
        self._observer = observer
        self.began_at: float | None = None
        self.latest: Progress | None = None
        self.tried: set[str] = set()
        """Old links that were tried."""

    def tell(self, progress: Progress) -> None:
        """Tell all listeners. One that fails is its own trouble and keeps nothing from the others."""
        self.latest = progress
        told: list[OnUpdate] = list(self.listeners)
        if self._observer is not None:
            told.append(partial(self._observer, self.task_id))
        for listener in told:
            try:
                listener(progress)
            except Exception:  # noqa: PERF203
                log.debug("A listener of task %s failed.", self.task_id, exc_info=True)


class Poller:
    """Asks about tasks, all together under the rate of their service.

    Args:
        ledger: for its clock.
        http: shared client.
        polling: read at each poll, so that changed settings count at once.
        per_minute: for all tasks of one service together; services on loopback have no limit.
        backoff: pauses after trouble.
    """

    def __init__(
        self,
        ledger: Ledger,
        http: httpx.AsyncClient,
        polling: Callable[[], Polling],
        per_minute: float,
        backoff: Backoff,
    ) -> None:
        self._backoff = backoff
        self._ledger, self._http, self._polling, self._per_minute = ledger, http, polling, per_minute
        self._limiters: dict[str, Limiter] = {}

    async def until_ended(self, task: Task, row: TaskRow | None) -> TaskResult:
        """Ask until the task has ended. Trouble on the way only makes it slower.

        Args:
            task: who is told.
            row: of the ledger; None for a task it never saw.

        Raises:
            TaskNotFoundError: the account has no such task.
            ServiceError: the service refuses to answer, such as for a bad key. The task goes on.
        """
        client = ServiceClient(task.connection, self._http)
        polls = failures = missing = reported = 0
        while True:
            await self._limiter(task.connection).turn()
            try:
                result = await client.result(task.task_id)
            except TaskNotFoundError:
                missing += 1
                if not self._may_still_appear(row, missing, polls):
                    raise
                pause = self._pause(missing, None)
            except Wan27Error as error:
                if not worth_asking_again(error):
                    raise
                failures += 1
                reported = reported + 1 if isinstance(error, TaskErrorReported) else 0
                if reported == FAILURES_IN_A_ROW:
                    if row is not None and row.state != "submitted":
                        raise  # it was finished once: this is about something else
                    return TaskResult(task.task_id, TaskState.FAILED, reason=str(error))
                pause = self._after_trouble(task, error, failures)
            else:
                polls, failures, missing, reported = polls + 1, 0, 0, 0
                if result.state.ended:
                    return result
                self._tell(task, result)
                pause = self._pause(polls, result.eta_seconds)
            self._give_up_if_too_old(task)
            await asyncio.sleep(pause)

    async def rest(self) -> None:
        """The longest pause between two polls."""
        await asyncio.sleep(self._polling().longest_seconds)

    def _may_still_appear(self, row: TaskRow | None, missing: int, polls: int) -> bool:
        if row is None and polls == 0:
            return False  # a pasted id: most likely a wrong one
        if row is not None and row.state != "submitted":
            return False  # the service knew it once; it has forgotten
        young = row is not None and self._ledger.now() - row.began_at < NOT_FOUND_GRACE_SECONDS
        return young or missing < NOT_FOUND_IN_A_ROW

    def _pause(self, polls: int, eta_seconds: float | None) -> float:
        polling = self._polling()
        return pause_before_next_poll(
            polls,
            first_seconds=polling.first_seconds,
            longest_seconds=polling.longest_seconds,
            eta_seconds=eta_seconds,
            roll=jitter(),
        )

    def _after_trouble(self, task: Task, error: Wan27Error, failures: int) -> float:
        asked = min(getattr(error, "retry_after", None) or 0.0, LONGEST_RETRY_AFTER)
        if isinstance(error, RateLimitError):
            self._limiter(task.connection).hold(max(asked, self._polling().first_seconds))
        self._tell(task, None, note=str(error))
        return max(asked, self._pause(1, None), self._backoff.bound(failures) * jitter())

    def _give_up_if_too_old(self, task: Task) -> None:
        """Nobody waits and the service has long forgotten it: no reason to ask for ever."""
        age = self._ledger.now() - (task.began_at or self._ledger.now())
        if not task.listeners and age > TASK_QUERY_HOURS * 3600:
            raise WaitTimeoutError(messages.waited_long_enough(task.task_id, round(age / 60)))

    def _limiter(self, connection: Connection) -> Limiter:
        per_minute = None if connection.on_loopback else self._per_minute
        return self._limiters.setdefault(service_of(connection), Limiter(per_minute))

    def _tell(self, task: Task, result: TaskResult | None, *, note: str = "") -> None:
        began = task.began_at or (seconds(result.submitted_at_ms) if result else None) or self._ledger.now()
        task.tell(
            Progress(
                state=result.state.value if result else "waiting",
                seconds=max(0.0, self._ledger.now() - began),
                progress_percent=result.progress_percent if result else None,
                eta_seconds=result.eta_seconds if result else None,
                note=note,
            )
        )


def seconds(milliseconds: int | None) -> float | None:
    """Seconds since 1970 from the service's milliseconds."""
    return milliseconds / 1000 if milliseconds else None
