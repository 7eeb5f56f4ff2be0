"""Keeps all tasks together under the rate of the service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

POLLS_PER_MINUTE = 60.0
"""Own choice: the vendor's own tool asks 20 times a minute for one task, and tells no limit for these calls."""

BURST = 5
"""Calls that may go at once after a quiet time."""


class Limiter:
    """Hands out turns, first come first served, evenly spaced; nobody gets one while the service asked for a pause.

    Args:
        per_minute: turns a minute; None for no limit, as on this machine.
        clock, sleep: for tests.
    """

    def __init__(
        self,
        per_minute: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._spacing = 60.0 / per_minute if per_minute else 0.0
        self._clock, self._sleep = clock, sleep
        self._next = float("-inf")
        self._held_until = float("-inf")

    async def turn(self) -> None:
        """Wait for a turn. One that is cancelled meanwhile is lost, which only makes the others a little later."""
        now = self._clock()
        # A quiet time saves up a few turns, so that a single task is never kept waiting.
        mine = max(self._next, now - (BURST - 1) * self._spacing)
        self._next = mine + self._spacing
        while (wait := max(mine, self._held_until) - self._clock()) > 0:
            await self._sleep(wait)

    def hold(self, seconds: float) -> None:
        """The service asked for a pause: no turn for this long, whoever waits."""
        self._held_until = max(self._held_until, self._clock() + seconds)
