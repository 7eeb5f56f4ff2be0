"""Event-loop side of the runner: reserves requests, submits them and tracks their tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..api.connection import Connection
from ..config import Budget
from ..core.errors import LedgerError, OutcomeUnknownError, RequestError, WaitTimeoutError, Wan27Error
from ..core.event_loop import result_of
from ..core.hosts import SANDBOX
from ..core.limits import TASK_QUERY_HOURS
from ..ledger import BalanceRequiredError, KnownBalance, Ledger, TaskRecord, UnresolvedRequestsError
from ..ledger.balances import check_balance
from . import messages
from .balance import BalanceReader
from .fetching import ResultFetcher
from .fingerprint import fingerprint, stored_request
from .lost_answers import LostAnswers
from .models import OnProgress, Order, Submitted, service_of
from .polling import TrackedTask
from .stalled_tasks import StalledTaskScanner
from .submission import Sender, Submission, WithdrawnError

log = logging.getLogger(__name__)

ConnectionFor = Callable[[str, str], "Connection | None"]
"""Returns a connection that can be used now for the name and base URL of a task's connection, or None."""

OTHER_PROCESS_SECONDS = 0.5
"""Between two looks at what another process does with a request."""


class Tracker:
    """All submissions and tasks of a runner. Used on the runner's event loop only.

    `budget` can be replaced at any time, which counts from the next batch on. `connection_for` is for tasks that are
    resumed and may block; None: tasks are not resumed.
    """

    def __init__(
        self,
        ledger: Ledger,
        sender: Sender,
        fetcher: ResultFetcher,
        balances: BalanceReader,
        lost: LostAnswers,
        budget: Budget,
        *,
        connection_for: ConnectionFor | None,
        on_progress: OnProgress | None,
        scan_seconds: float,
    ) -> None:
        self.budget = budget
        self._ledger, self._sender, self._fetcher = ledger, sender, fetcher
        self._balances, self._lost = balances, lost
        self._connection_for, self._on_progress = connection_for, on_progress
        self._scanner = StalledTaskScanner(ledger, self._is_tracked, self._resume, scan_seconds)
        self._reserving = asyncio.Lock()
        self._submissions: dict[int, Submission] = {}
        """By the id of their record."""
        self._tasks: dict[tuple[str, str], TrackedTask] = {}
        """By service and task id."""
        self._searches: set[int] = set()
        """The records whose tasks are looked for in the background."""
        self._jobs: dict[asyncio.Task[None], bool] = {}
        """Everything that runs; True for POSTs."""
        self._closing = False

    def start(self) -> None:
        """Start to scan for stalled tasks; does nothing the second time."""
        if not self._jobs and not self._closing:
            self._start(self._scanner.run(), is_post=False)

    # Submitting -----------------------------------------------------------------------------------------------------

    async def submit(self, orders: Sequence[Order]) -> list[Submitted]:
        """Find or make the tasks of a batch. Cancelling withdraws unsent requests that no other caller wants."""
        joined: dict[int, Submission] = {}
        try:
            claimed = await self._reserve_and_send(orders, joined)
            outcomes = await asyncio.gather(
                *(self._settle(order, *one, joined) for order, one in zip(orders, claimed, strict=True)),
                return_exceptions=True,
            )
        finally:
            _leave(joined)
        errors = [(i, outcome) for i, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)]
        if errors:
            # The one that may have cost money is the one to know about.
            index, error = min(errors, key=lambda item: not isinstance(item[1], OutcomeUnknownError))
            raise messages.in_batch(error, index, len(orders))
        return [outcome for outcome in outcomes if isinstance(outcome, Submitted)]

    async def _reserve_and_send(
        self, orders: Sequence[Order], joined: dict[int, Submission]
    ) -> list[tuple[TaskRecord, bool]]:
        """Reserve records for all orders, and start to send the new ones. Their submissions are added to `joined`.

        Returns: for each order its record, and whether it is new.
        """
        while True:
            try:
                return await self._reserve_and_send_once(orders, joined)
            except UnresolvedRequestsError as error:
                unknown = error.records
            await self._resolve(unknown, orders)

    async def _reserve_and_send_once(
        self, orders: Sequence[Order], joined: dict[int, Submission]
    ) -> list[tuple[TaskRecord, bool]]:
        async with self._reserving:
            if self._closing:
                raise _closing_error()
            claimed = await self._reserve_with_balance(orders, joined)
            for order, (record, is_new) in zip(orders, claimed, strict=True):
                if is_new:
                    self._send(Submission(record, order))
                submission = self._submissions.get(record.id)
                if submission is not None and record.id not in joined:
                    submission.join()
                    joined[record.id] = submission
            return claimed

    async def _reserve_with_balance(
        self, orders: Sequence[Order], joined: dict[int, Submission]
    ) -> list[tuple[TaskRecord, bool]]:
        """Reserve; ask the service for the balance only if something is new and the budget needs it."""
        connection = orders[0].connection
        if connection.reports_balance and not self._balances.was_read(connection):
            self._balances.ask(connection)  # before the first video: what the day's change is measured from
        try:
            return await self._reserve(orders, joined, None)
        except BalanceRequiredError:
            balance = await self._balances.try_read(connection)
        return await self._reserve(orders, joined, balance)

    async def _reserve(
        self, orders: Sequence[Order], joined: dict[int, Submission], balance: KnownBalance | None
    ) -> list[tuple[TaskRecord, bool]]:
        reserving = asyncio.ensure_future(asyncio.to_thread(self._reserve_blocking, orders, balance))
        try:
            claimed = await asyncio.shield(reserving)
        except asyncio.CancelledError:
            _leave(joined)  # now: the rest of the batch must not be sent while the thread goes on
            # The thread cannot be interrupted: give back what it reserves for a caller that has left.
            await asyncio.wait({reserving})
            if reserving.exception() is None:
                self._give_back(reserving.result())
            raise
        except LedgerError as error:
            raise LedgerError(f"{error} Nothing was sent.") from error
        if self._closing:
            self._give_back(claimed)
            raise _closing_error()
        return claimed

    async def _resolve(self, records: Mapping[int, TaskRecord], orders: Sequence[Order]) -> None:
        """Find the tasks of unknown records, by their index in the batch. Raises OutcomeUnknownError unless all are."""
        unresolved: dict[int, TaskRecord] = {}
        found = ""
        for index, record in records.items():
            connection = await self._connection_of(record, orders[index].connection)
            look = None
            if connection is not None and self._lost.can_look(connection):
                look = await self._lost.look(record.id, connection)
            if look is not None and look.record.state != "unknown":
                continue
            if look is not None and connection is not None:
                found = found if unresolved else messages.searched(connection.host.title, look.candidates)
                self._search(record, connection)
            unresolved[index] = record
            if record.hidden:
                await asyncio.to_thread(self._ledger.show, record.id)
        if unresolved:
            raise OutcomeUnknownError(messages.unresolved(unresolved, orders, found=found))

    def _give_back(self, claimed: list[tuple[TaskRecord, bool]]) -> None:
        for record, is_new in claimed:
            if is_new:
                self._sender.withdraw(record.id)

    def _reserve_blocking(self, orders: Sequence[Order], balance: KnownBalance | None) -> list[tuple[TaskRecord, bool]]:
        for index, order in enumerate(orders):
            self._check(order, index, len(orders))

        def check_new(index: int) -> None:
            if field := wanted[index].expired:
                raise messages.in_batch(RequestError(messages.upload_expired(field)), index, len(orders))

        services = self._ledger.billing_services()
        wanted = [_wanted(order, self._ledger, services) for order in orders]
        claimed = self._ledger.claim(
            [each.record for each in wanted],
            reuse=[order.on_repeat == "reuse" for order in orders],
            budget=self.budget,
            balance=balance,
            elsewhere=[each.elsewhere for each in wanted],
            check_new=check_new,
        )
        for order, (_, is_new) in zip(orders, claimed, strict=True):
            if is_new and order.workflow and order.prompt_id:
                self._ledger.workflows.keep(order.prompt_id, order.workflow)
                break
        return claimed

    def _check(self, order: Order, index: int, total: int) -> None:
        try:
            self._sender.check(order)
        except Wan27Error as error:
            raise messages.in_batch(error, index, total) from error.__cause__

    def _send(self, submission: Submission) -> None:
        self._submissions[submission.record.id] = submission

        async def work() -> None:
            try:
                await self._sender.run(submission)
            finally:
                self._submissions.pop(submission.record.id, None)
            error = submission.task_id.exception()
            if error is None:
                self.track(submission.task_id.result(), submission.order.connection)
            elif isinstance(error, OutcomeUnknownError):
                self._search(submission.record, submission.order.connection)

        self._start(work(), is_post=True)

    async def _settle(self, order: Order, record: TaskRecord, is_new: bool, joined: dict[int, Submission]) -> Submitted:
        """Return the task of an order that has its record: submitted from here, by another process, or long ago."""
        while not (found := await self._with_task_id(order, record, joined)):
            [(record, is_new)] = await self._reserve_and_send([order], joined)
        task_id = found.task_id or ""
        if found.state != "saved" and (connection := await self._connection_of(found, order.connection)):
            self.track(task_id, connection)
        if is_new:
            notes = [messages.cost(order, found.estimate), *order.connection.dialect.left_out(order.request)]
            return Submitted(task_id, found.estimate or 0.0, reused=False, note=" ".join(filter(None, notes)))
        return Submitted(task_id, 0.0, reused=True, note=messages.reused(order, found))

    async def _with_task_id(self, order: Order, record: TaskRecord, joined: dict[int, Submission]) -> TaskRecord | None:
        """Return the record once it has a task id, None if the request has to be claimed again."""
        submission = joined.get(record.id)
        if submission is not None:
            try:
                task_id = await result_of(submission.task_id)
            except WithdrawnError:
                return None  # it was too late to join
            return replace(record, state="submitted", task_id=task_id)
        return await self._from_other_process(order, record) if record.state == "intent" else record

    async def _from_other_process(self, order: Order, record: TaskRecord) -> TaskRecord | None:
        """Wait for an intent that is not being sent from here: another process has it, or it was just settled."""
        while True:
            await asyncio.to_thread(self._ledger.recover, [record.fingerprint])
            record = await asyncio.to_thread(self._ledger.get, record.id)
            if record.state == "intent" and self._is_abandoned(record):
                # Its outcome could not be recorded when it was known.
                await asyncio.to_thread(self._ledger.abandon, record.id)
                continue
            if record.state == "unknown":
                await self._resolve({0: record}, [order])
                continue
            if record.state != "intent":
                return None if record.state == "failed" else record
            await asyncio.sleep(OTHER_PROCESS_SECONDS)

    def _is_abandoned(self, record: TaskRecord) -> bool:
        return record.owner == self._ledger.process_lock.token and record.id not in self._submissions

    async def check_balance(self, connection: Connection, cost: float) -> None:
        """Raise BudgetError if a cost would leave less in the account than min_balance_usd."""
        balance = await self._balances.try_read(connection)
        reserved = await asyncio.to_thread(self._ledger.balances.reserved, balance)
        check_balance(cost, balance=balance, reserved=reserved, budget=self.budget)

    # Tracking -------------------------------------------------------------------------------------------------------

    async def find_and_track(self, task_id: str, current: Connection) -> TrackedTask:
        """Track a task at the host that the ledger knows it from, otherwise at the current connection."""
        record = await asyncio.to_thread(self._ledger.find, task_id, service_of(current))
        found = None if record is None else await self._connection_of(record, current)
        return self.track(task_id, found or current)

    async def _connection_of(self, record: TaskRecord, current: Connection | None) -> Connection | None:
        """Return the connection that a task belongs to, None if the settings do not name it (any more)."""
        if current is not None and record.service == service_of(current):
            return current
        if self._connection_for is None:
            return None
        try:
            found = await asyncio.to_thread(self._connection_for, record.connection, record.base_url)
        except Exception as error:  # the settings, or the start of the sandbox: the other tasks go on
            log.warning("Wan 2.7: task %s cannot be asked for: %s", record.task_id, error)
            return None
        return found if found is not None and service_of(found) == record.service else None

    def track(self, task_id: str, connection: Connection) -> TrackedTask:
        """Return the task; starts to track it unless that is being done already."""
        key = (service_of(connection), task_id)
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = TrackedTask(task_id, connection, self._on_progress)
            self._start(self._until_done(key, task), is_post=False)
        return task

    def _is_tracked(self, record: TaskRecord) -> bool:
        return (record.service, record.task_id) in self._tasks

    async def _until_done(self, key: tuple[str, str], task: TrackedTask) -> None:
        try:
            await self._fetcher.run(task)
        finally:
            # From now on the ledger knows the answer. A failure may be gone the next time.
            self._tasks.pop(key, None)

    def _search(self, record: TaskRecord, connection: Connection) -> None:
        """Look for the task of an unknown record a few times, in the background."""
        if record.id in self._searches or self._closing or not self._lost.can_look(connection):
            return

        async def search() -> None:
            try:
                for pause in self._lost.looks.later:
                    await asyncio.sleep(pause)
                    look = await self._lost.look(record.id, connection)
                    if look is not None and look.record.state != "unknown":
                        if look.record.task_id and look.record.state != "saved":
                            self.track(look.record.task_id, connection)
                        return
            finally:
                self._searches.discard(record.id)

        self._searches.add(record.id)
        self._start(search(), is_post=False)

    async def resume_unfinished(self) -> None:
        """Continue with the tasks that earlier processes left unfinished, and clean up after them."""
        try:
            await asyncio.to_thread(self._ledger.recover)
            for record in await asyncio.to_thread(self._ledger.take_over_unfinished, TASK_QUERY_HOURS * 3600.0):
                await self._resume(record)
            for record in await asyncio.to_thread(self._ledger.unknown, TASK_QUERY_HOURS * 3600.0):
                connection = await self._connection_of(record, None)
                if connection is not None:
                    self._search(record, connection)
            await asyncio.to_thread(self._ledger.process_lock.remove_stale)
            await asyncio.to_thread(self._fetcher.remove_leftovers)
        except Wan27Error as error:
            log.warning("Wan 2.7: unfinished tasks could not be resumed: %s", error)

    async def _resume(self, record: TaskRecord) -> None:
        """Continue with a task that is not tracked, if its connection is still the one that is set."""
        if not record.task_id:
            return
        connection = await self._connection_of(record, None)
        if connection is not None:
            log.info("Wan 2.7: resuming task %s", record.task_id)
            self.track(record.task_id, connection)
        elif record.connection != SANDBOX:
            log.warning("Wan 2.7: %s", messages.other_connection(record))

    # The end --------------------------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, None], *, is_post: bool) -> None:
        job = asyncio.ensure_future(work)
        self._jobs[job] = is_post
        job.add_done_callback(self._ended)

    def _ended(self, job: asyncio.Task[None]) -> None:
        self._jobs.pop(job, None)
        if not job.cancelled() and (error := job.exception()) is not None:
            log.error("Wan 2.7: unexpected error in the background runner.", exc_info=error)

    async def close(self, timeout: float) -> None:
        """Withdraw what was not sent, let POSTs return, drop the rest: the ledger knows how to continue."""
        self._closing = True
        for submission in list(self._submissions.values()):
            submission.abort()
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


def _leave(joined: dict[int, Submission]) -> None:
    while joined:
        joined.popitem()[1].leave()


def _closing_error() -> WaitTimeoutError:
    return WaitTimeoutError("ComfyUI is shutting down; nothing was sent.")


class _Wanted(NamedTuple):
    """What the ledger is asked for.

    Attributes:
        elsewhere: the fingerprints of the same request at other services.
        expired: the first media field whose upload has expired, "" if there is none.
    """

    record: TaskRecord
    elsewhere: list[str]
    expired: str


def _wanted(order: Order, ledger: Ledger, services: Sequence[str]) -> _Wanted:
    """Return what the ledger is asked for.

    A request to the sandbox is found at the sandbox only, and others never there. May block.
    """
    uploads = {url: upload for url in order.request.media().values() if (upload := ledger.uploads.by_url(url))}
    contents = {url: upload.content for url, upload in uploads.items()}
    files = {url: upload.sha256 for url, upload in uploads.items()}
    clip = uploads.get(order.request.first_clip_url or "")
    connection = order.connection
    others = [] if connection.is_sandbox else [each for each in services if each != service_of(connection)]
    elsewhere = [fingerprint(order, media.get, service=each) for each in others for media in (contents, files)]
    record = TaskRecord(
        fingerprint=fingerprint(order, contents.get),
        file_fingerprint=fingerprint(order, files.get),
        service=service_of(connection),
        connection=connection.name,
        base_url=connection.base_url,
        request=stored_request(order.request, contents.get),
        estimate=connection.estimate(order.request, None if clip is None else clip.seconds).high,
        counted=not connection.is_sandbox,
        run_id=order.prompt_id,
        prompt_id=order.prompt_id,
        node_id=order.node_id,
    )
    expiries = {field: uploads[url].expires_at for field, url in order.request.media().items() if url in uploads}
    now = ledger.now()
    return _Wanted(record, elsewhere, next((field for field, end in expiries.items() if end and end < now), ""))
