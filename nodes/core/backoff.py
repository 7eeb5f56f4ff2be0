"""How long to wait before the next attempt: growing pauses with jitter, unless the server asks for a time."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

LONGEST_RETRY_AFTER = 300.0
"""Seconds. A longer Retry-After is cut to this: a wrong clock must not stop a graph for a day."""


@dataclass(frozen=True)
class Backoff:
    """Growing pauses with full jitter: each is drawn evenly between 0 and a bound that doubles.

    Full jitter, because a batch fails together and would otherwise come back together.

    Attributes:
        first_seconds: the first bound.
        longest_seconds: the bound stops growing here.
        budget_seconds: no further attempt starts later than this after the first one.
    """

    first_seconds: float
    longest_seconds: float
    budget_seconds: float = math.inf
    longest_retry_after: float = LONGEST_RETRY_AFTER

    def pause(self, attempt: int, roll: float, retry_after: float | None = None) -> float:
        """Return the seconds to wait after attempt number `attempt`.

        Args:
            attempt: 1 after the first attempt.
            roll: a random number in [0, 1), see `jitter`.
            retry_after: the seconds the server asked for. The pause is never shorter, and up to a second longer, so
                that the requests of a batch do not come back at the same time.
        """
        if retry_after is None:
            return min(self.longest_seconds, self.first_seconds * 2.0 ** min(attempt - 1, 60)) * roll
        return min(max(retry_after, 0.0), self.longest_retry_after) + roll


def jitter() -> float:
    """Return a random number in [0, 1)."""
    return random.random()  # noqa: S311 - spreads load, protects nothing


def retry_after_seconds(value: str | None, *, now: datetime | None = None) -> float | None:
    """Return the seconds of a Retry-After header, which holds a number or an HTTP date; None if it is unreadable."""
    value = (value or "").strip()
    if value.isdecimal():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max(0.0, (when - (now or datetime.now(timezone.utc))).total_seconds())
