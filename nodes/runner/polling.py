"""Polls tasks until they have ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

import httpx

from ..api.client import ServiceClient
from ..api.connection import Connection
from ..api.retry import worth_asking_again
from ..api.task import TaskHandle, TaskResult, TaskState
from ..config import Polling
from ..core.backoff import LONGEST_RETRY_AFTER, Backoff, jitter
from ..core.errors import RateLimitError, TaskErrorReported, TaskNotFoundError, WaitTimeoutError, Wan27Error
from ..core.limits import TASK_QUERY_HOURS
from ..ledger import TaskRecord
from . import messages
from .models import Finished, OnProgress, Progress, service_of
from .rate_limiter import RateLimiter
from .run_times import pause_before_next_poll, usual_seconds

log = logging.getLogger(__name__)

NOT_FOUND_GRACE_SECONDS = 60.0
"""A task that was submitted this recently may not be known everywhere at the service yet."""
NOT_FOUND_IN_A_ROW = 3
"""An older task is given up after this many answers of this kind."""

FAILURES_IN_A_ROW = 5
"""A task counts as failed after this many errors that report a failure instead of a state. A single one can come from
the service's own trouble (it is a 5xx), and believing it too early would pay for the task again. The pauses between
them grow."""


class TrackedTask:
    """A task that is being polled or fetched. `outcome` delivers its video to the waiting callers, on any event loop.

    `on_progress` receives the progress of the task as well, but does not count as a waiting caller.
    """

    def __init__(self, task_id: str, connection: Connection, on_progress: OnProgress | None) -> None:
        self.task_id = task_id
        self.connection = connection
        self.outcome: Future[Finished] = Future()
        self.waiting: list[Callable[[Progress], None]] = []
        """The callbacks of the callers that wait for it."""
        self.began_at: float | None = None
        self.run_times: Sequence[float] = ()
        """Seconds that similar tasks took, ascending."""
        self.unfinished_at: float | None = None
        """When a poll last found it unfinished."""
        self.latest: Progress | None = None
        self.tried_links: set[str] = set()
        """Recorded links that were tried."""
        self._on_progress = on_progress
        self._wanted_now = asyncio.Event()

    def poll_now(self) -> None:
        """End the pause before the next poll. On the runner's event loop only."""
        self._wanted_now.set()

    async def pause(self, seconds: float) -> None:
        """Wait for the next poll."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._wanted_now.wait(), seconds)
        self._wanted_now.clear()

    def report(self, progress: Progress) -> None:
        """Pass on the progress. A callback that fails does not affect the others."""
        self.latest = progress
        callbacks = list(self.waiting)
        if self._on_progress is not None:
            callbacks.append(partial(self._on_progress, self.task_id))
        for callback in callbacks:
            try:
                callback(progress)
            except Exception:  # noqa: PERF203
                log.debug("A progress callback of task %s failed.", self.task_id, exc_info=True)


class Poller:
    """Polls tasks, all together below the rate of their service; services on loopback have no limit.

    `polling` can be replaced at any time, which counts from the next poll on. `now` returns seconds since 1970.
    """

    def __init__(
        self, http: httpx.AsyncClient, polling: Polling, *, backoff: Backoff, now: Callable[[], float]
    ) -> None:
        self.polling = polling
        self._http, self._backoff, self._now = http, backoff, now
        self._limiters: dict[str, RateLimiter] = {}

    async def until_ended(self, task: TrackedTask, record: TaskRecord | None) -> TaskResult:
        """Poll until the task has ended. Errors on the way only make it slower. `record`: None if the ledger has none.

        Raises:
            TaskNotFoundError: the account has no such task.
            ServiceError: the service refuses to answer, for example because of a wrong key. The task goes on.
        """
        client = ServiceClient(task.connection, self._http)
        handle = TaskHandle(task.task_id, record.handle if record else {})
        polls = failures = missing = reported = 0
        first_asked = self._now()
        while True:
            await self._limiter(task.connection).wait()
            try:
                result = await client.result(handle)
            except TaskNotFoundError:
                missing += 1
                if not self._may_still_appear(record, missing, polls):
                    raise
                pause = self._pause(task, first_asked, None)
            except Wan27Error as error:
                if not worth_asking_again(error):
                    raise
                failures += 1
                reported = reported + 1 if isinstance(error, TaskErrorReported) else 0
                if reported == FAILURES_IN_A_ROW:
                    if record is not None and record.state != "submitted":
                        raise  # it was finished once: this is about something else
                    return TaskResult(task.task_id, TaskState.FAILED, reason=str(error))
                pause = self._pause_after_error(task, error, failures)
            else:
                polls, failures, missing, reported = polls + 1, 0, 0, 0
                if result.state.ended:
                    return result
                task.unfinished_at = self._now()
                self._report(task, result)
                pause = self._pause(task, seconds(result.submitted_at_ms) or first_asked, result.eta_seconds)
            self._give_up_if_too_old(task)
            await task.pause(pause)

    async def longest_pause(self) -> None:
        """Sleep as long as the longest pause between two polls."""
        await asyncio.sleep(self.polling.longest_seconds)

    def _may_still_appear(self, record: TaskRecord | None, missing: int, polls: int) -> bool:
        if record is None and polls == 0:
            return False  # a pasted id, most likely a wrong one
        if record is not None and record.state != "submitted":
            return False  # the service knew it once and has forgotten it
        young = record is not None and self._now() - record.began_at < NOT_FOUND_GRACE_SECONDS
        return young or missing < NOT_FOUND_IN_A_ROW

    def _pause(self, task: TrackedTask, first_asked: float, eta_seconds: float | None) -> float:
        return pause_before_next_poll(
            max(0.0, self._now() - (task.began_at or first_asked)),
            task.run_times,
            first_seconds=self.polling.first_seconds,
            longest_seconds=self.polling.longest_seconds,
            eta_seconds=eta_seconds,
            roll=jitter(),
        )

    def _pause_after_error(self, task: TrackedTask, error: Wan27Error, failures: int) -> float:
        asked = min(getattr(error, "retry_after", None) or 0.0, LONGEST_RETRY_AFTER)
        if isinstance(error, RateLimitError):
            self._limiter(task.connection).pause(max(asked, self.polling.first_seconds))
        self._report(task, None, note=str(error))
        return max(asked, self.polling.first_seconds, self._backoff.pause(failures, jitter()))

    def _give_up_if_too_old(self, task: TrackedTask) -> None:
        """Stop polling a task that no caller waits for and that the service has long forgotten."""
        age = self._now() - (task.began_at or self._now())
        if not task.waiting and age > TASK_QUERY_HOURS * 3600:
            raise WaitTimeoutError(messages.wait_timed_out(task.task_id, round(age / 60)))

    def _limiter(self, connection: Connection) -> RateLimiter:
        per_minute = None if connection.on_loopback else connection.dialect.capabilities.polls_per_minute
        return self._limiters.setdefault(service_of(connection), RateLimiter(per_minute))

    def _report(self, task: TrackedTask, result: TaskResult | None, *, note: str = "") -> None:
        began = task.began_at or (seconds(result.submitted_at_ms) if result else None) or self._now()
        task.report(
            Progress(
                state=result.state.value if result else "waiting",
                seconds=max(0.0, self._now() - began),
                progress_percent=result.progress_percent if result else None,
                eta_seconds=result.eta_seconds if result else None,
                usual_seconds=usual_seconds(task.run_times),
                note=note,
                can_cancel=result is not None and task.connection.dialect.capabilities.can_cancel(result.state),
            )
        )


def seconds(milliseconds: int | None) -> float | None:
    """Return seconds since 1970 from the service's milliseconds."""
    return milliseconds / 1000 if milliseconds else None
