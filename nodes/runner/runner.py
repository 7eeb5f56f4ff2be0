"""The runner: everything that is paid for happens here, whatever becomes of the node that asked.

One for a process, with one thread, one event loop and one set of HTTP connections. Nodes ask and wait; leaving early
costs them nothing and stops nothing that was paid for.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from ..api.connection import Connection
from ..api.download import remove_leftovers
from ..api.retry import FREE_BACKOFF, NOT_DELIVERED_BACKOFF, RATE_LIMIT_BACKOFF
from ..api.task import check_task_id
from ..config.settings import Budget, Polling
from ..core.backoff import Backoff
from ..core.errors import OutcomeUnknownError, WaitTimeoutError, Wan27Error
from ..core.event_loop import BackgroundLoop, result_of, run_blocking
from ..core.limits import TASK_QUERY_HOURS
from ..core.redaction import suppress_url_logs
from ..ledger.ledger import Ledger
from . import messages
from .models import Finished, Order, Progress, Submitted
from .output_files import FOLDER
from .polling import Observer, Task
from .rate_limiter import POLLS_PER_MINUTE
from .stalled_tasks import RESCAN_SECONDS
from .tracking import ConnectionFor, Desk, Setup, Ticket

log = logging.getLogger(__name__)
T = TypeVar("T")


class Runner:
    """Submits, waits and fetches, in the background.

    Args:
        ledger: of this process.
        output_dir: ComfyUI's output folder; videos go to wan27/ below it.
        polling: seconds between polls.
        budget: limits in USD; requests to a sandbox do not count.
        connection_for: for tasks that are picked up again; may block.
        polls_per_minute: for all tasks together, where the service is not on this machine.
        not_delivered, rate_limit: how long a request that was surely not taken is tried again.
        free: pauses of polls and downloads after trouble.
        rescan_seconds: between two looks for tasks that were given up.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        output_dir: Path,
        polling: Polling,
        budget: Budget,
        connection_for: ConnectionFor | None = None,
        polls_per_minute: float = POLLS_PER_MINUTE,
        not_delivered: Backoff = NOT_DELIVERED_BACKOFF,
        rate_limit: Backoff = RATE_LIMIT_BACKOFF,
        free: Backoff = FREE_BACKOFF,
        rescan_seconds: float = RESCAN_SECONDS,
    ) -> None:
        self._setup = Setup(
            ledger,
            output_dir,
            polling,
            budget,
            connection_for,
            polls_per_minute,
            not_delivered,
            rate_limit,
            free,
            rescan_seconds,
        )
        self._ledger = ledger
        self._background = BackgroundLoop("wan27-runner")
        self._desk: Desk | None = None

    def configure(self, *, polling: Polling, budget: Budget) -> None:
        """Take over changed settings; they count from the next poll and the next claim on."""
        self._setup.polling, self._setup.budget = polling, budget

    def observe(self, observer: Observer) -> None:
        """Have `observer` told how far each task is, from now on; on the runner's thread, so it must return at once."""
        self._setup.observer = observer

    async def submit_batch(self, orders: Sequence[Order], *, run_id: str) -> list[Submitted]:
        """The tasks of the orders, in their order: found in the ledger, or made. From any event loop.

        The budget of all is reserved before the first POST. Cancelling the await withdraws what was not sent yet;
        what is on its way or beyond goes on.

        Args:
            orders: checked already.
            run_id: of the queued prompt; its nodes share the budget of one run.

        Raises:
            BudgetError, LedgerError: nothing was sent.
            OutcomeUnknownError: an equal request was, or this one is, lost on its way; it may be billed.
            NotDeliveredError, ServiceError: not made, not billed. Others of the batch may be: they go on.
        """
        ticket = Ticket(run_id)
        try:
            return await result_of(self._call(self._submit, list(orders), ticket))
        finally:
            self._background.post(ticket.leave)

    async def wait(
        self,
        task_id: str,
        *,
        connection: Connection,
        on_update: Callable[[Progress], None],
        timeout_seconds: float | None = None,
    ) -> Finished:
        """The video of a task, fetched now or earlier. From any event loop; ends at once when it is cancelled.

        Args:
            task_id: of any task of the account, whether this ledger knows it or not.
            connection: the one that is set.
            on_update: called on the runner's thread.
            timeout_seconds: None waits for ever.

        Raises:
            RequestError: task_id is none.
            WaitTimeoutError: the task goes on.
            TaskFailedError, DownloadError, ServiceError, LedgerError: see there.
        """
        task_id = check_task_id(task_id)
        task = await result_of(self._call(self._follow, task_id, connection))
        task.listeners.append(on_update)
        if task.latest is not None:
            on_update(task.latest)
        try:
            return await result_of(task.outcome, timeout_seconds)
        except asyncio.TimeoutError:
            raise WaitTimeoutError(
                messages.waited_long_enough(task_id, round((timeout_seconds or 0) / 60, 2))
            ) from None
        finally:
            task.listeners.remove(on_update)

    def resume_unfinished(self) -> None:
        """Go on with what was left unfinished, in the background. Returns at once; trouble goes to the log."""
        with contextlib.suppress(Wan27Error):
            self._call(self._resume)

    def close(self, timeout: float = 5.0) -> None:
        """End. Waits for POSTs that are on their way, at most `timeout` seconds: their answers are worth money."""
        if self._background.started:
            with contextlib.suppress(Exception):
                self._call(self._wind_up, timeout).result(timeout + 2.0)
            self._background.stop(2.0)
            atexit.unregister(self.close)
        self._ledger.close()

    def _call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Future[T]:
        if not self._background.started:
            atexit.register(self.close)
        try:
            with suppress_url_logs():  # inherited by the call and all tasks it starts: the URLs of results are signed
                return self._background.call(function(*args))
        except RuntimeError as error:
            raise WaitTimeoutError("ComfyUI is shutting down; nothing was sent.") from error

    # On the runner's loop ---------------------------------------------------------------------------------------

    def _open_desk(self) -> Desk:
        if self._desk is None:
            self._desk = Desk(self._setup)
        return self._desk

    async def _submit(self, orders: list[Order], ticket: Ticket) -> list[Submitted]:
        desk = self._open_desk()
        places = await desk.claim(orders, ticket)
        outcomes = await asyncio.gather(
            *(desk.settle(order, place, ticket) for order, place in zip(orders, places, strict=True)),
            return_exceptions=True,
        )
        errors = [(i, outcome) for i, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)]
        if errors:
            # The one that may have cost money is the one to know about.
            index, error = min(errors, key=lambda item: not isinstance(item[1], OutcomeUnknownError))
            raise messages.in_batch(error, index, len(orders))
        return [outcome for outcome in outcomes if isinstance(outcome, Submitted)]

    async def _follow(self, task_id: str, connection: Connection) -> Task:
        return self._open_desk().follow(task_id, connection)

    async def _resume(self) -> None:
        desk = self._open_desk()
        try:
            await run_blocking(self._ledger.recover)
            rows = await run_blocking(self._ledger.unfinished, TASK_QUERY_HOURS * 3600.0)
            for row in rows:
                await desk.resume(row)
            await run_blocking(self._ledger.tidy)
            await run_blocking(remove_leftovers, self._setup.output_dir / FOLDER, self._ledger.alive)
        except Wan27Error as error:
            log.warning("Wan 2.7: unfinished tasks could not be picked up: %s", error)

    async def _wind_up(self, timeout: float) -> None:
        if self._desk is not None:
            await self._desk.close(timeout)
