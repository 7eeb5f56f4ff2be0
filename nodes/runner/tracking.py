"""The desk of the runner: where orders become rows, rows become tasks, and tasks are followed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from ..api.client import ServiceClient
from ..api.connection import Connection
from ..config.settings import Budget, Polling
from ..core.backoff import Backoff
from ..core.errors import LedgerError, OutcomeUnknownError, WaitTimeoutError
from ..core.event_loop import result_of, run_blocking
from ..ledger.ledger import InDoubt, Ledger
from ..ledger.records import Claim, Claimed, TaskRow
from . import messages
from .fetching import Follower
from .fingerprint import fingerprint, stored_request
from .models import Order, Submitted, service_of
from .polling import Observer, Poller, Task
from .stalled_tasks import Rescan
from .submission import Sender, Sending, WithdrawnError

log = logging.getLogger(__name__)

ConnectionFor = Callable[[str, str], "Connection | None"]
"""From the name and base URL of a task's connection to one that can be used now, or None."""

_ON_THIS_MACHINE = ("all://127.0.0.1", "all://localhost", "all://[::1]")
"""Never through a proxy of the environment."""

OTHER_PROCESS_SECONDS = 0.5
"""Between two looks at what another process does with a request."""


@dataclass
class Setup:
    """What a runner was made with; see `Runner`. polling and budget change with the settings."""

    ledger: Ledger
    output_dir: Path
    polling: Polling
    budget: Budget
    connection_for: ConnectionFor | None
    polls_per_minute: float
    not_delivered: Backoff
    rate_limit: Backoff
    free: Backoff
    rescan_seconds: float
    observer: Observer | None = None


@dataclass
class Ticket:
    """A caller of submit_batch: what it waits for, and whether it is still there."""

    run_id: str
    sendings: list[Sending] = field(default_factory=list)
    left: bool = False

    def add(self, sending: Sending) -> None:
        sending.join()
        self.sendings.append(sending)
        if self.left:
            self.sendings.pop().leave()

    def leave(self) -> None:
        self.left = True
        while self.sendings:
            self.sendings.pop().leave()


@dataclass(frozen=True)
class Place:
    """Where an order stands: its row, whether it was made for it, and who sends it from here, if anybody does."""

    row: TaskRow
    new: bool
    sending: Sending | None


class Desk:
    """What lives on the runner's loop: clients, sendings, tasks. Made on it, used on it only."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._ledger = setup.ledger
        context = httpx.create_ssl_context()
        direct: dict[str, httpx.AsyncBaseTransport | None] = dict.fromkeys(_ON_THIS_MACHINE)
        self._http = httpx.AsyncClient(verify=context, mounts=direct, limits=httpx.Limits(max_connections=40))
        # A pooled connection that the other side closed meanwhile shows it only after the request was sent, and that
        # leaves a paid request in doubt: each POST gets a connection of its own.
        self._submit_http = httpx.AsyncClient(
            verify=context, mounts=direct, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self._sender = Sender(
            self._ledger, self._client, not_delivered=setup.not_delivered, rate_limit=setup.rate_limit
        )
        poller = Poller(self._ledger, self._http, lambda: setup.polling, setup.polls_per_minute, setup.free)
        self._follower = Follower(self._ledger, self._http, setup.output_dir, poller, setup.free)
        self._claiming = asyncio.Lock()
        self._sendings: dict[int, Sending] = {}
        self._tasks: dict[tuple[str, str], Task] = {}
        self._jobs: dict[asyncio.Task[None], bool] = {}
        """Everything that runs; True for POSTs."""
        self._closing = False
        self._start(Rescan(self._ledger, self._follows, self.resume, setup.rescan_seconds).run(), is_post=False)

    def _client(self, order: Order) -> ServiceClient:
        return ServiceClient(order.connection, self._http, submit_http=self._submit_http)

    # Claim and settle -------------------------------------------------------------------------------------------

    async def claim(self, orders: Sequence[Order], ticket: Ticket) -> list[Place]:
        """Reserve rows for all orders, and start to send those that are new."""
        async with self._claiming:
            if ticket.left:
                raise WithdrawnError(messages.withdrawn())
            if self._closing:
                raise WaitTimeoutError("ComfyUI is shutting down; nothing was sent.")
            try:
                claims = await run_blocking(lambda: [_claim(order, self._ledger, ticket.run_id) for order in orders])
                claimed = await run_blocking(self._ledger.claim, claims, self._setup.budget)
            except InDoubt as doubt:
                raise OutcomeUnknownError(messages.doubtful(doubt.rows, len(orders))) from None
            except LedgerError as error:
                raise LedgerError(f"{error} Nothing was sent.") from error
            return [self._place(order, answer, ticket) for order, answer in zip(orders, claimed, strict=True)]

    def _place(self, order: Order, claimed: Claimed, ticket: Ticket) -> Place:
        if claimed.new:
            self._send(Sending(claimed.row, order))
        sending = self._sendings.get(claimed.row.id)
        if sending is not None:
            ticket.add(sending)
        return Place(claimed.row, claimed.new, sending)

    def _send(self, sending: Sending) -> None:
        self._sendings[sending.row.id] = sending

        async def work() -> None:
            try:
                await self._sender.run(sending)
            finally:
                self._sendings.pop(sending.row.id, None)
            if sending.task_id.exception() is None:
                self.follow(sending.task_id.result(), sending.order.connection)

        self._start(work(), is_post=True)

    async def settle(self, order: Order, place: Place, ticket: Ticket) -> Submitted:
        """The task of an order that has its place: sent from here, by another process, or long ago."""
        while True:
            try:
                row = await self._task_of(place, ticket)
            except WithdrawnError:
                if ticket.left:
                    raise
                row = None  # somebody else gave it up just now
            if row is not None and row.task_id:
                return self._submitted(order, row, new=place.new)
            [place] = await self.claim([order], ticket)

    async def _task_of(self, place: Place, ticket: Ticket) -> TaskRow | None:
        """The row once it has a task id; None where it turned out to be free for a new claim."""
        if place.sending is not None:
            task_id = await result_of(place.sending.task_id)
            return replace(place.row, state="submitted", task_id=task_id)
        if place.row.state != "intent":
            return place.row
        return await self._from_elsewhere(place.row, ticket)

    async def _from_elsewhere(self, row: TaskRow, ticket: Ticket) -> TaskRow | None:
        """Wait for an intent that is not being sent from here: another process has it, or it was just settled."""
        while True:
            await run_blocking(self._ledger.recover, [row.fingerprint])
            row = await run_blocking(self._ledger.row, row.id)
            if row.state == "intent" and row.owner == self._ledger.token and row.id not in self._sendings:
                # Its end could not be written down when it happened.
                await run_blocking(self._ledger.abandon, row.id)
                continue
            if row.state == "unknown":
                raise OutcomeUnknownError(messages.doubtful({0: row}, 1))
            if row.state != "intent":
                return None if row.state == "failed" else row
            if ticket.left:
                raise WithdrawnError(messages.withdrawn())
            await asyncio.sleep(OTHER_PROCESS_SECONDS)

    def _submitted(self, order: Order, row: TaskRow, *, new: bool) -> Submitted:
        task_id = row.task_id or ""
        if row.state != "saved":
            self.follow(task_id, order.connection)
        note = "" if new else "already paid for; on_repeat submit_again makes another"
        # What is used again costs nothing more.
        return Submitted(task_id, (row.estimate or 0.0) if new else 0.0, not new, note)

    # Tasks ------------------------------------------------------------------------------------------------------

    def follow(self, task_id: str, connection: Connection) -> Task:
        """The task, being followed from now on if it was not yet."""
        key = (service_of(connection), task_id)
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = Task(task_id, connection, self._setup.observer)
            self._start(self._until_done(key, task), is_post=False)
        return task

    def _follows(self, row: TaskRow) -> bool:
        return (row.service, row.task_id) in self._tasks

    async def _until_done(self, key: tuple[str, str], task: Task) -> None:
        try:
            await self._follower.run(task)
        finally:
            # Once it has ended, the ledger knows the answer; a failure may be gone the next time.
            self._tasks.pop(key, None)

    async def resume(self, row: TaskRow) -> None:
        """Go on with a task that nobody follows any more, where its connection is still the one that is set."""
        resolver = self._setup.connection_for
        if resolver is None or not row.task_id:
            return
        try:
            connection = await run_blocking(resolver, row.connection, row.base_url)
        except Exception as error:
            log.warning("Wan 2.7: task %s is not picked up: %s", row.task_id, error)
            return
        if connection is not None and service_of(connection) == row.service:
            log.info("Wan 2.7: going on with task %s", row.task_id)
            self.follow(row.task_id, connection)

    # The end ----------------------------------------------------------------------------------------------------

    def _start(self, work: Any, *, is_post: bool) -> None:
        job: asyncio.Task[None] = asyncio.ensure_future(work)
        self._jobs[job] = is_post
        job.add_done_callback(self._ended)

    def _ended(self, job: asyncio.Task[None]) -> None:
        self._jobs.pop(job, None)
        if not job.cancelled() and (error := job.exception()) is not None:
            log.error("Wan 2.7: the background runner met something unexpected.", exc_info=error)

    async def close(self, timeout: float) -> None:
        """Withdraw what was not sent, let POSTs come back, drop the rest: the ledger knows how to go on."""
        self._closing = True
        for sending in list(self._sendings.values()):
            sending.abort()
        for job in [job for job, is_post in self._jobs.items() if not is_post]:
            job.cancel()
        posts = [job for job, is_post in self._jobs.items() if is_post]
        if posts:
            await asyncio.wait(posts, timeout=timeout)
        rest = list(self._jobs)
        for job in rest:
            job.cancel()
        if rest:
            await asyncio.wait(rest, timeout=1.0)
        await self._http.aclose()
        await self._submit_http.aclose()


def _claim(order: Order, ledger: Ledger, run_id: str) -> Claim:
    uploads = {url: upload for url in order.request.media().values() if (upload := ledger.media_of(url))}
    shown = {url: upload.content for url, upload in uploads.items()}
    files = {url: upload.sha256 for url, upload in uploads.items()}
    connection = order.connection
    return Claim(
        fingerprint=fingerprint(order, shown.get),
        file_fingerprint=fingerprint(order, files.get),
        reuse=order.on_repeat == "reuse",
        service=service_of(connection),
        connection=connection.name,
        base_url=connection.base_url,
        request=stored_request(order, shown.get),
        estimate=connection.estimate(order.request),
        counted=not connection.is_sandbox,
        run_id=run_id,
        prompt_id=order.origin.prompt_id,
        node_id=order.origin.node_id,
    )
