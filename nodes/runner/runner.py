"""The background runner: everything that costs money happens here, whatever becomes of the node that asked.

There is one in a process, with one thread, one event loop and one set of HTTP connections. Nodes ask and wait. Leaving
early costs them nothing and stops nothing that was paid for.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import httpx

from ..api.client import ServiceClient
from ..api.connection import Connection
from ..api.retry import FREE_BACKOFF, NOT_DELIVERED_BACKOFF
from ..api.task import TaskHandle, check_task_id
from ..config import Budget, Polling
from ..core.addresses import LOOPBACK_MOUNTS
from ..core.backoff import Backoff
from ..core.errors import (
    AuthenticationError,
    RateLimitError,
    RequestError,
    ServiceError,
    SettingsError,
    WaitTimeoutError,
    Wan27Error,
)
from ..core.event_loop import BackgroundLoop, result_of
from ..core.redaction import suppress_url_logs
from ..ledger import BalanceReading, Ledger, TaskRecord
from . import messages
from .balance import BalanceReader
from .fetching import ResultFetcher
from .lost_answers import Looks, LostAnswers
from .models import Finished, OnProgress, Order, Progress, Submitted
from .polling import Poller
from .stalled_tasks import SCAN_SECONDS
from .submission import Sender
from .tracking import ConnectionFor, Tracker

T = TypeVar("T")


class Runner:
    """Submits requests, waits for their tasks and fetches the videos, in the background.

    Args:
        ledger: of this process; closed with the runner.
        output_dir: ComfyUI's output folder; videos go to wan27/ below it.
        polling: seconds between polls.
        budget: limits in USD; requests to a sandbox do not count.
        connection_for: for tasks that are resumed; may block. None: tasks are not resumed.
        on_progress: receives the progress of every task, on the runner's thread; must return at once.
        not_delivered: how long to keep trying when a request certainly did not arrive.
        free: pauses of polls and downloads after an error.
        scan_seconds: time between two scans for tasks that were given up.
        looks: pauses before each look for the task of a request whose answer was lost.
        clock: a monotonic clock, in seconds.

    Raises:
        SettingsError: the environment names a proxy or certificates that cannot be used.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        output_dir: Path,
        polling: Polling,
        budget: Budget,
        connection_for: ConnectionFor | None = None,
        on_progress: OnProgress | None = None,
        not_delivered: Backoff = NOT_DELIVERED_BACKOFF,
        free: Backoff = FREE_BACKOFF,
        scan_seconds: float = SCAN_SECONDS,
        looks: Looks | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            context = httpx.create_ssl_context()
            limits = httpx.Limits(max_connections=40)
            self._http = httpx.AsyncClient(verify=context, mounts=LOOPBACK_MOUNTS, limits=limits)
            # Each POST opens a connection of its own: a pooled one that the other side has closed meanwhile shows it
            # only after the request was sent, and leaves the outcome of a paid request unknown.
            limits = httpx.Limits(max_keepalive_connections=0)
            self._submit_http = httpx.AsyncClient(verify=context, mounts=LOOPBACK_MOUNTS, limits=limits)
        except (OSError, ImportError, ValueError) as error:
            raise SettingsError(
                f"No HTTP client can be created: {error} Check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, SSL_CERT_FILE and "
                "SSL_CERT_DIR in the environment of ComfyUI."
            ) from error
        self._ledger = ledger
        self._poller = Poller(self._http, polling, backoff=free, now=ledger.now)
        self._balances = BalanceReader(self._http, ledger, now=ledger.now)
        lost = LostAnswers(ledger, self._client_to, looks or Looks())
        self._tracker = Tracker(
            ledger,
            Sender(ledger, self._client_for, lost.find, not_delivered=not_delivered, clock=clock),
            ResultFetcher(ledger, self._http, output_dir, self._poller, self._balances, backoff=free),
            self._balances,
            lost,
            budget,
            connection_for=connection_for,
            on_progress=on_progress,
            scan_seconds=scan_seconds,
        )
        self._background = BackgroundLoop("wan27-runner")

    def _client_for(self, order: Order) -> ServiceClient:
        return ServiceClient(order.connection, self._http, submit_http=self._submit_http)

    def _client_to(self, connection: Connection) -> ServiceClient:
        return ServiceClient(connection, self._http)

    def configure(self, *, polling: Polling, budget: Budget) -> None:
        """Apply changed settings; they count from the next poll and the next batch on."""
        self._poller.polling, self._tracker.budget = polling, budget

    async def submit_batch(self, orders: Sequence[Order]) -> list[Submitted]:
        """Return the tasks of the orders, in their order: found in the ledger, or submitted. From any event loop.

        The orders must be checked already, and all of the same prompt. All are encoded, and the budget of all is
        reserved, before the first POST. Cancelling the await withdraws what was not sent yet; the rest goes on.

        Raises:
            BudgetError, LedgerError, RequestError, AuthenticationError: nothing was sent.
            OutcomeUnknownError: the answer to this request, or to an equal one before, was lost; it may be billed.
            NotDeliveredError, ServiceError: not accepted, not billed. Others of the batch may be: they go on.
        """
        submitting = self._call(self._tracker.submit, list(orders))
        try:
            return await result_of(submitting)
        finally:
            submitting.cancel()

    async def wait(
        self,
        task_id: str,
        *,
        connection: Connection,
        on_update: Callable[[Progress], None],
        timeout_seconds: float | None = None,
    ) -> Finished:
        """Return the video of a task, fetched now or earlier. From any event loop; cancelling ends the wait at once.

        Args:
            task_id: of any task of the account, whether this ledger knows it or not.
            connection: the current one. A task that the ledger knows from another is fetched there.
            on_update: receives the progress, on the runner's thread.
            timeout_seconds: None waits for ever.

        Raises:
            RequestError: task_id is not a task id.
            WaitTimeoutError: the task goes on.
            TaskFailedError, DownloadError, ServiceError, LedgerError: see there.
        """
        task_id = check_task_id(task_id)
        task = await result_of(self._call(self._tracker.find_and_track, task_id, connection))
        task.waiting.append(on_update)
        if task.latest is not None:
            on_update(task.latest)
        try:
            return await result_of(task.outcome, timeout_seconds)
        except asyncio.TimeoutError:
            minutes = round((timeout_seconds or 0) / 60, 2)
            raise WaitTimeoutError(messages.wait_timed_out(task_id, minutes)) from None
        finally:
            task.waiting.remove(on_update)

    async def balance(self, connection: Connection) -> BalanceReading:
        """Return the account's balance, at most BALANCE_SECONDS old. From any event loop.

        Raises:
            RequestError: the service does not report it.
            NotDeliveredError, ServiceError: it cannot be read now.
        """
        return await result_of(self._call(self._balances.read, connection))

    async def check_balance(self, connection: Connection, cost: float) -> None:
        """Raise BudgetError if a cost would leave less in the account than the budget allows. From any event loop."""
        await result_of(self._call(self._tracker.check_balance, connection, cost))

    async def cancel(self, task: TaskRecord, *, connection: Connection) -> None:
        """Cancel a task that has not started; its wait ends with a TaskFailedError. From any event loop.

        What it costs is decided by the answer to the next poll: the budget is released if the host bills nothing.

        Raises:
            RequestError: the host cannot cancel tasks, or it is too late.
            NotDeliveredError, ServiceError: the host cannot be asked, or does not answer.
        """
        await result_of(self._call(self._cancel, task, connection))

    async def _cancel(self, task: TaskRecord, connection: Connection) -> None:
        capabilities = connection.dialect.capabilities
        if not capabilities.cancels:
            raise RequestError(messages.cannot_cancel(connection.host.title))
        client, handle = self._client_to(connection), TaskHandle(task.task_id or "", task.handle)
        if not capabilities.can_cancel((await client.result(handle)).state):
            raise RequestError(messages.too_late_to_cancel(handle.task_id))
        try:
            await client.cancel(handle)
        except (AuthenticationError, RateLimitError):
            raise
        except ServiceError as error:
            if error.status is None or error.status >= 500:
                raise
            raise RequestError(messages.too_late_to_cancel(handle.task_id, str(error))) from error
        self._tracker.track(handle.task_id, connection).poll_now()

    def resume_unfinished(self) -> None:
        """Continue with what was left unfinished, in the background. Returns at once; errors go to the log."""
        with contextlib.suppress(Wan27Error):
            self._call(self._tracker.resume_unfinished)

    def close(self, timeout: float = 5.0) -> None:
        """Stop. Waits at most `timeout` seconds for POSTs that are on their way: their answers are worth money."""
        if self._background.started:
            with contextlib.suppress(Exception):
                self._call(self._close, timeout).result(timeout + 2.0)
            self._background.stop(2.0)
            atexit.unregister(self.close)
        self._ledger.close()

    async def _close(self, timeout: float) -> None:
        await self._tracker.close(timeout)
        await self._balances.close()
        await self._http.aclose()
        await self._submit_http.aclose()

    def _call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Future[T]:
        if not self._background.started:
            atexit.register(self.close)
        try:
            with suppress_url_logs():  # by the call and the tasks it starts: the URLs of results are signed
                return self._background.call(self._on_loop(function, *args))
        except RuntimeError as error:
            raise WaitTimeoutError("ComfyUI is shutting down; nothing was sent.") from error

    async def _on_loop(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        self._tracker.start()
        return await function(*args)
