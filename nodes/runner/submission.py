"""Sends a paid request once, with the ledger always a step ahead."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future

from ..api.client import ServiceClient
from ..api.retry import Delivery, judge, pause_before_next_post
from ..core.backoff import LONGEST_RETRY_AFTER, Backoff, jitter
from ..core.errors import LedgerError, NotDeliveredError, OutcomeUnknownError
from ..ledger import Ledger, TaskRecord
from . import messages
from .models import Order
from .rate_limiter import RateLimiter

log = logging.getLogger(__name__)

POSTS_AT_ONCE = 4


class WithdrawnError(NotDeliveredError):
    """Every caller that wanted the request left before it was sent."""


class Submission:
    """A request on its way to the service. `task_id` delivers the outcome to the callers, on any event loop.

    When the last caller leaves before the POST, the request is withdrawn; from the POST on nothing stops it.
    """

    def __init__(self, record: TaskRecord, order: Order) -> None:
        self.record = record
        self.order = order
        self.task_id: Future[str] = Future()
        self.unwanted = asyncio.Event()
        """Set while no caller wants it."""
        self._callers = 0

    def join(self) -> None:
        """Add a caller. Revives a submission that was about to be withdrawn."""
        self._callers += 1
        self.unwanted.clear()

    def leave(self) -> None:
        """Remove a caller."""
        self._callers -= 1
        if self._callers <= 0:
            self.unwanted.set()

    def abort(self) -> None:
        """Withdraw the request if it was not sent, whoever wants it."""
        self._callers = 0
        self.unwanted.set()

    async def pause(self, seconds: float) -> None:
        """Sleep until the time is over or no caller wants the submission any more."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.unwanted.wait(), seconds)


FindLost = Callable[[Submission, OutcomeUnknownError], Awaitable[str]]


class Sender:
    """Sends submissions, a few at a time.

    Args:
        ledger: informed before and after each POST.
        client_for: returns a client for an order; each of its paid calls opens an HTTP connection of its own.
        find_lost: returns the task id of a submission whose answer was lost, or raises the OutcomeUnknownError.
        not_delivered: how long to keep trying when a request was certainly not accepted.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        client_for: Callable[[Order], ServiceClient],
        find_lost: FindLost,
        *,
        not_delivered: Backoff,
        clock: Callable[[], float],
    ) -> None:
        self._ledger, self._client_for, self._not_delivered, self._clock = ledger, client_for, not_delivered, clock
        self._find_lost = find_lost
        self._slots = asyncio.Semaphore(POSTS_AT_ONCE)
        self._limiter = RateLimiter(None)

    def check(self, order: Order) -> None:
        """Refuse an order that would fail before its POST. Raises AuthenticationError or RequestError."""
        self._client_for(order).check(order.request)

    async def run(self, submission: Submission) -> None:
        """Send it and settle its record; the outcome, good or bad, goes to `submission.task_id`."""
        try:
            submission.task_id.set_result(await self._until_known(submission))
        except BaseException as error:
            submission.task_id.set_exception(
                WithdrawnError(messages.withdrawn()) if isinstance(error, asyncio.CancelledError) else error
            )
            if not isinstance(error, Exception):
                raise

    async def _until_known(self, submission: Submission) -> str:
        try:
            return await self._until_settled(submission)
        except OutcomeUnknownError as error:
            try:
                return await self._find_lost(submission, error)
            except asyncio.CancelledError:
                raise error from None  # ComfyUI ends; it was sent all the same

    async def _until_settled(self, submission: Submission) -> str:
        failures: list[_NotAcceptedError] = []
        while True:
            try:
                return await self._attempt(submission)
            except _NotAcceptedError as failure:
                failures.append(failure)
            await self._pause_before_next(submission, failures)

    async def _pause_before_next(self, submission: Submission, failures: Sequence[_NotAcceptedError]) -> None:
        """Wait as long as the last failure requires, or raise it if there must be no further attempt."""
        last = failures[-1]
        # Each kind of failure has its own clock, from the first attempt that met it: the wait for a slot, or for the
        # end of a rate limit, must not use up the time for a network that comes back.
        alike = [failure for failure in failures if failure.delivery is last.delivery]
        asked = getattr(last.error, "retry_after", None)
        pause = pause_before_next_post(
            last.delivery,
            attempt=len(alike),
            elapsed=self._clock() - alike[0].began,
            retry_after=asked,
            roll=jitter(),
            not_delivered=self._not_delivered,
        )
        if pause is None:
            self._ledger.fail(submission.record.id, str(last.error), billed=False)
            raise last.error from last.error.__cause__
        if last.delivery is Delivery.RATE_LIMITED:
            self._limiter.pause(min(pause, LONGEST_RETRY_AFTER if asked is None else asked))
        log.info("Wan 2.7: a request was not accepted, next attempt in %.1f s: %s", pause, last.error)
        await submission.pause(pause)

    async def _attempt(self, submission: Submission) -> str:
        """Send one POST. From `begin_post` to the end, only the answer is awaited."""
        record_id = submission.record.id
        try:
            async with self._slots:
                await self._limiter.wait()
                if submission.unwanted.is_set():
                    raise WithdrawnError(messages.withdrawn())
                client = self._client_for(submission.order)
                self._ledger.begin_post(record_id)
                began = self._clock()
                try:
                    task = await client.submit(submission.order.request)
                except BaseException as error:
                    self._settle_failure(record_id, error, began)
                    raise
                self._ledger.record_task(record_id, task.task_id, task.kept)
                return task.task_id
        except (WithdrawnError, LedgerError, asyncio.CancelledError):
            self.withdraw(record_id)
            raise

    def _settle_failure(self, record_id: int, error: BaseException, began: float) -> None:
        """Record what became of the POST, and raise what the caller should get, if that is another error."""
        delivery = judge(error)
        if delivery in (Delivery.NOT_DELIVERED, Delivery.RATE_LIMITED) and isinstance(error, Exception):
            self._ledger.post_not_delivered(record_id)
            raise _NotAcceptedError(delivery, error, began) from error
        said = str(error) or type(error).__name__
        if isinstance(error, asyncio.CancelledError):
            said = "ComfyUI ended while the request was on its way."
        try:
            if delivery is Delivery.REFUSED:
                self._ledger.fail(record_id, said, billed=False)
            else:
                self._ledger.mark_unknown(record_id, said)
        except LedgerError as trouble:
            # The record keeps its mark, and counts as unknown when it is met again.
            log.error("Wan 2.7: the outcome of a request could not be recorded: %s", trouble)
        if delivery is not Delivery.REFUSED:
            raise OutcomeUnknownError(messages.answer_lost(said)) from error

    def withdraw(self, record_id: int) -> None:
        """Give up an intent that was not sent. One whose POST began is settled already and stays as it is."""
        try:
            self._ledger.withdraw(record_id, messages.withdrawn())
        except LedgerError as error:
            log.warning("Wan 2.7: a request that was not sent stays reserved until ComfyUI restarts: %s", error)


class _NotAcceptedError(Exception):
    """An attempt that may be repeated. `began`: when, by the sender's clock."""

    def __init__(self, delivery: Delivery, error: Exception, began: float) -> None:
        super().__init__(str(error))
        self.delivery, self.error, self.began = delivery, error, began
