"""When to retry. Pure policy without clock, randomness and I/O, so that a table of tests can cover every rule.

A call that costs money is classified by what the service may have done with it, not by how it failed:

NOT_DELIVERED   not a byte arrived (refused connection, connect or pool timeout, proxy, DNS): a retry is safe
RATE_LIMITED    rejected before it was read (429): a retry is safe, after the time the service asks for
REFUSED         read and refused for a reason (4xx): nothing was created or billed, a retry would be refused again
UNKNOWN         everything else, including new kinds of errors: it may have been accepted, so it is never retried

Free calls (polls, downloads) are retried after any network or server trouble, with growing pauses.
"""

from __future__ import annotations

from enum import Enum

from ..core import errors
from ..core.backoff import Backoff


class Delivery(Enum):
    """What may have become of a paid call."""

    NOT_DELIVERED = "not delivered"
    RATE_LIMITED = "rate limited"
    REFUSED = "refused"
    UNKNOWN = "unknown"


_DOUBTFUL_STATUS = frozenset({408, 409, 425, 499})
"""4xx statuses of a request that a server, or a proxy before it, may have accepted all the same: a timeout while it was
read or answered (408, 499), a conflict with something just created (409), an early repeat (425)."""


def judge(error: BaseException) -> Delivery:
    """Return what may have become of a paid call that ended with this error."""
    if isinstance(error, errors.NotDeliveredError):
        return Delivery.NOT_DELIVERED
    if isinstance(error, errors.OutcomeUnknownError):
        return Delivery.UNKNOWN
    if isinstance(error, errors.ServiceError):
        return _judge_status(error)
    if isinstance(error, (errors.RequestError, errors.BudgetError, errors.LedgerError, UnicodeError)):
        return Delivery.REFUSED  # raised here, before the request was sent
    return Delivery.UNKNOWN


def _judge_status(error: errors.ServiceError) -> Delivery:
    status = error.status
    if status is None:
        # No answer was read: either no key is set here, or the error is of an unforeseen kind.
        return Delivery.REFUSED if isinstance(error, errors.AuthenticationError) else Delivery.UNKNOWN
    if not 400 <= status < 500 or status in _DOUBTFUL_STATUS:
        return Delivery.UNKNOWN
    return Delivery.RATE_LIMITED if isinstance(error, errors.RateLimitError) or status == 429 else Delivery.REFUSED


def worth_asking_again(error: Exception) -> bool:
    """Return whether a free call may succeed later: the network failed, or the service is busy."""
    if isinstance(error, (errors.NotDeliveredError, errors.RateLimitError, errors.ServerError)):
        return True
    return isinstance(error, errors.ServiceError) and error.status in _DOUBTFUL_STATUS


NOT_DELIVERED_BACKOFF = Backoff(first_seconds=1.0, longest_seconds=15.0, budget_seconds=60.0)
"""A minute is enough for a network that reconnects. If it takes longer, the user should know."""

RATE_LIMIT_BACKOFF = Backoff(first_seconds=5.0, longest_seconds=60.0, budget_seconds=1800.0)
"""Limits are per minute. Half an hour is six times what a batch of 100 needs at 20 requests per minute."""

FREE_BACKOFF = Backoff(first_seconds=2.0, longest_seconds=60.0)


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
    """Return the seconds to wait before a paid call may be sent again, or None if it must not be.

    Args:
        attempt: number of that attempt among those with the same outcome, from 1.
        elapsed: seconds since the first of those began.
        retry_after: seconds the service asked for with a 429, or None.
        roll: a random number in [0, 1).
    """
    if delivery is Delivery.NOT_DELIVERED:
        backoff, retry_after = not_delivered, None
    elif delivery is Delivery.RATE_LIMITED:
        backoff, roll = rate_limit, max(roll, 0.1) if retry_after is None else roll
    else:
        return None
    pause = backoff.pause(attempt, roll, retry_after)
    return pause if elapsed + pause <= backoff.budget_seconds else None
