"""When to ask again. Pure policy: no clock, no randomness, no I/O, so that every rule stands in a table of tests.

A call that costs money is judged by what the service may have done with it, not by how it failed:

NOT_DELIVERED   not a byte of it arrived (refused connection, connect or pool timeout, proxy, DNS): again is safe
RATE_LIMITED    turned away at the door (429): again is safe, after the time the service asks for
REFUSED         read and refused for a reason (4xx): nothing was made, nothing billed, again would be refused again
UNKNOWN         everything else, new kinds of errors included: it may have been accepted, so never again by itself

Free calls (polls, downloads) are asked again whatever happened, more slowly each time.
"""

from __future__ import annotations

from enum import Enum

from ..core.backoff import Backoff
from ..core.errors import (
    AuthenticationError,
    BudgetError,
    LedgerError,
    NotDeliveredError,
    OutcomeUnknownError,
    RateLimitError,
    RequestError,
    ServerError,
    ServiceError,
)


class Delivery(Enum):
    """What may have become of a paid call."""

    NOT_DELIVERED = "not delivered"
    RATE_LIMITED = "rate limited"
    REFUSED = "refused"
    UNKNOWN = "unknown"


_DOUBTFUL_STATUS = frozenset({408, 409, 425, 499})
"""4xx that a server or something before it also gives when it did take the request: time ran out while it was read or
answered (408, 499), a conflict with something just made (409), an early repeat (425)."""


def judge(error: BaseException) -> Delivery:
    """What may have become of the paid call that ended with this error."""
    if isinstance(error, NotDeliveredError):
        return Delivery.NOT_DELIVERED
    if isinstance(error, OutcomeUnknownError):
        return Delivery.UNKNOWN
    if isinstance(error, ServiceError):
        return _judge_status(error)
    if isinstance(error, (RequestError, BudgetError, LedgerError, UnicodeError)):
        return Delivery.REFUSED  # raised on this side while the request was put together
    return Delivery.UNKNOWN


def _judge_status(error: ServiceError) -> Delivery:
    status = error.status
    if status is None:
        # No answer was read: the key was missing on this side, or it is something nobody thought of.
        return Delivery.REFUSED if isinstance(error, AuthenticationError) else Delivery.UNKNOWN
    if not 400 <= status < 500 or status in _DOUBTFUL_STATUS:
        return Delivery.UNKNOWN
    return Delivery.RATE_LIMITED if isinstance(error, RateLimitError) or status == 429 else Delivery.REFUSED


def worth_asking_again(error: Exception) -> bool:
    """Whether a free question may be answered later: trouble on the way, or a busy service."""
    if isinstance(error, (NotDeliveredError, RateLimitError, ServerError)):
        return True
    return isinstance(error, ServiceError) and error.status in _DOUBTFUL_STATUS


NOT_DELIVERED_BACKOFF = Backoff(first_seconds=1.0, longest_seconds=15.0, budget_seconds=60.0)
"""A minute rides out a reconnecting network; a service that is down for longer is worth a message."""

RATE_LIMIT_BACKOFF = Backoff(first_seconds=5.0, longest_seconds=60.0, budget_seconds=1800.0)
"""Limits are per minute. Half an hour lets a batch of 100 through a limit of 20 a minute six times over."""

FREE_BACKOFF = Backoff(first_seconds=2.0, longest_seconds=60.0, budget_seconds=float("inf"))


def pause_before_next_post(
    delivery: Delivery,
    *,
    attempt: int,
    elapsed: float,
    retry_after: float | None,
    roll: float,
    not_delivered: Backoff = NOT_DELIVERED_BACKOFF,
    rate_limit: Backoff = RATE_LIMIT_BACKOFF,
) -> float | None:
    """Seconds to wait before the paid call may be sent again, or None: it must not be.

    Args:
        delivery: what became of the last attempt.
        attempt: number of that attempt among those that ended so, from 1.
        elapsed: seconds since the first of those began.
        retry_after: what the service asked for with a 429, or None.
        roll: a random number in [0, 1).
        not_delivered: pauses where nothing arrived.
        rate_limit: pauses after 429 without Retry-After, and the time budget of both.
    """
    if delivery is Delivery.NOT_DELIVERED:
        backoff, retry_after = not_delivered, None
    elif delivery is Delivery.RATE_LIMITED:
        backoff, roll = rate_limit, max(roll, 0.1) if retry_after is None else roll
    else:
        return None
    pause = backoff.pause(attempt, roll, retry_after)
    return pause if elapsed + pause <= backoff.budget_seconds else None


def pause_before_next_poll(
    polls: int,
    *,
    first_seconds: float,
    longest_seconds: float,
    eta_seconds: float | None,
    roll: float,
) -> float:
    """Seconds to the next question about a task that is not finished.

    Grows by half with each poll from first_seconds to longest_seconds. An eta moves the next poll to the moment the
    task should be ready, but never closer than first_seconds nor beyond longest_seconds: etas are guesses.

    Args:
        polls: answers so far, from 1.
        first_seconds: setting polling.first_seconds.
        longest_seconds: setting polling.longest_seconds.
        eta_seconds: the service's guess, None where it has none.
        roll: a random number in [0, 1); spreads the polls of a batch over a tenth of the pause.
    """
    pause = min(longest_seconds, first_seconds * 1.5 ** min(polls - 1, 60))
    if eta_seconds is not None and eta_seconds > 0:
        pause = min(max(eta_seconds, first_seconds), longest_seconds)
    return pause * (0.95 + 0.1 * roll)
