"""Sending a paid request: once, with the ledger a step ahead of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from ..api.client import ServiceClient
from ..api.retry import (
    NOT_DELIVERED_BACKOFF,
    RATE_LIMIT_BACKOFF,
    Delivery,
    judge,
    pause_before_next_post,
)
from ..core.backoff import LONGEST_RETRY_AFTER, Backoff, jitter
from ..core.errors import LedgerError, NotDeliveredError, OutcomeUnknownError
from ..ledger.ledger import Ledger
from ..ledger.records import TaskRow
from . import messages
from .models import Order
from .rate_limiter import Limiter

log = logging.getLogger(__name__)


class WithdrawnError(NotDeliveredError):
    """Everybody who wanted it left before it was sent."""


class Sending:
    """One intent on its way. `task_id` brings its outcome to whoever waits, on any loop.

    `wanted_by` counts the callers that still want it. When the last one leaves before the POST, it is withdrawn; from
    the POST on nothing stops it.
    """

    def __init__(self, row: TaskRow, order: Order) -> None:
        self.row = row
        self.order = order
        self.task_id: Future[str] = Future()
        self.wanted_by = 0
        self._unwanted = asyncio.Event()

    def join(self) -> None:
        """One caller more; on the runner's loop. Revives one that was about to be withdrawn."""
        self.wanted_by += 1
        self._unwanted.clear()

    def leave(self) -> None:
        """One caller less; on the runner's loop."""
        self.wanted_by -= 1
        if self.wanted_by <= 0:
            self._unwanted.set()

    def abort(self) -> None:
        """Withdraw it if it was not sent, whoever wants it; at the end."""
        self.wanted_by = 0
        self._unwanted.set()

    @property
    def unwanted(self) -> bool:
        """Whether nobody wants it any more."""
        return self._unwanted.is_set()

    async def rest(self, seconds: float) -> None:
        """Wait, unless it is withdrawn meanwhile."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._unwanted.wait(), seconds)


class Sender:
    """Sends intents. Lives on the runner's loop.

    Args:
        ledger: told before and after.
        client_for: a client for an order's connection; its paid call uses a fresh HTTP connection.
        at_once: POSTs on their way at the same time.
        not_delivered, rate_limit: how long to go on where a request surely was not taken.
    """

    def __init__(
        self,
        ledger: Ledger,
        client_for: Callable[[Order], ServiceClient],
        *,
        at_once: int = 4,
        not_delivered: Backoff = NOT_DELIVERED_BACKOFF,
        rate_limit: Backoff = RATE_LIMIT_BACKOFF,
    ) -> None:
        self._ledger = ledger
        self._client_for = client_for
        self._slots = asyncio.Semaphore(at_once)
        self._gate = Limiter(None)
        self._not_delivered, self._rate_limit = not_delivered, rate_limit

    async def run(self, sending: Sending) -> None:
        """Send it and settle its row; the outcome, good or bad, goes to `sending.task_id`."""
        try:
            sending.task_id.set_result(await self._until_settled(sending))
        except BaseException as error:
            sending.task_id.set_exception(
                WithdrawnError(messages.withdrawn()) if isinstance(error, asyncio.CancelledError) else error
            )
            if not isinstance(error, Exception):
                raise

    async def _until_settled(self, sending: Sending) -> str:
        met: list[_NotTaken] = []
        while True:
            try:
                return await self._attempt(sending)
            except _NotTaken as not_taken:
                met.append(not_taken)
            await self._rest_before_next(sending, met)

    async def _rest_before_next(self, sending: Sending, met: Sequence[_NotTaken]) -> None:
        """Wait as long as the last of the failures asks for, or raise it where there must be no further attempt."""
        last = met[-1]
        # Each kind of trouble has its own clock, from the first attempt that met it: the wait for a slot, or for the
        # end of a rate limit, must not use up the time for a network that comes back.
        alike = [each for each in met if each.delivery is last.delivery]
        asked = getattr(last.error, "retry_after", None)
        pause = pause_before_next_post(
            last.delivery,
            attempt=len(alike),
            elapsed=time.monotonic() - alike[0].began,
            retry_after=asked,
            roll=jitter(),
            not_delivered=self._not_delivered,
            rate_limit=self._rate_limit,
        )
        if pause is None:
            self._ledger.fail(sending.row.id, str(last.error), billed=False)
            raise last.error from last.error.__cause__
        if last.delivery is Delivery.RATE_LIMITED:
            self._gate.hold(min(pause, LONGEST_RETRY_AFTER if asked is None else asked))
        log.info("Wan 2.7: a request was not taken, again in %.1f s: %s", pause, last.error)
        await sending.rest(pause)

    async def _attempt(self, sending: Sending) -> str:
        """One POST. From `begin_post` to the end nothing but the answer is awaited."""
        row_id = sending.row.id
        try:
            async with self._slots:
                await self._gate.turn()
                if sending.unwanted:
                    raise WithdrawnError(messages.withdrawn())
                client = self._client_for(sending.order)
                self._ledger.begin_post(row_id)
                began = time.monotonic()
                try:
                    task_id = await client.submit(sending.order.request)
                except BaseException as error:
                    self._settle_failure(row_id, error, began)
                    raise
                self._ledger.record_task(row_id, task_id)
                return task_id
        except (WithdrawnError, LedgerError, asyncio.CancelledError):
            self._withdraw(row_id)
            raise

    def _settle_failure(self, row_id: int, error: BaseException, began: float) -> None:
        """Write down what became of the POST, and raise what the caller should hear, if that is something else."""
        delivery = judge(error)
        if delivery in (Delivery.NOT_DELIVERED, Delivery.RATE_LIMITED) and isinstance(error, Exception):
            self._ledger.post_did_not_arrive(row_id)
            raise _NotTaken(delivery, error, began) from error
        said = str(error) or type(error).__name__
        try:
            if delivery is Delivery.REFUSED:
                self._ledger.fail(row_id, said, billed=False)
            else:
                self._ledger.doubt(row_id, said)
        except LedgerError as trouble:
            # The row keeps its mark, and counts as unknown when it is met again.
            log.error("Wan 2.7: the end of a request could not be written down: %s", trouble)
        if isinstance(error, asyncio.CancelledError):
            said = "ComfyUI ended while the request was on its way."
        if delivery is not Delivery.REFUSED:
            raise OutcomeUnknownError(messages.just_lost(said)) from error

    def _withdraw(self, row_id: int) -> None:
        """Give up an intent that was not sent. One whose POST began is settled already and stays as it is."""
        try:
            self._ledger.withdraw(row_id, messages.withdrawn())
        except LedgerError as error:
            log.warning("Wan 2.7: a request that was not sent stays reserved until ComfyUI restarts: %s", error)


class _NotTaken(Exception):  # noqa: N818 - not an error yet
    """`began`: when the attempt did, by the monotonic clock."""

    def __init__(self, delivery: Delivery, error: Exception, began: float) -> None:
        super().__init__(str(error))
        self.delivery = delivery
        self.error: Exception = error
        self.began = began
