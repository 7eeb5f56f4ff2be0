"""Keeps the calls of all tasks together below the rate of the service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

BURST = 5
"""Calls that may go out at once after a quiet time."""


class RateLimiter:
    """Spaces calls evenly, first come, first served. None goes out while the service asked for a pause.

    No minute has more than `per_minute` calls; None for no limit, as on this machine.
    """

    def __init__(
        self,
        per_minute: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._spacing = 60.0 / max(per_minute - BURST, 1.0) if per_minute else 0.0
        self._clock, self._sleep = clock, sleep
        self._next = float("-inf")
        self._paused_until = float("-inf")

    async def wait(self) -> None:
        """Wait until the next call may go out. If it is cancelled, its slot is lost, which only delays the others."""
        now = self._clock()
        # A quiet time saves up a few calls, so that a single task never waits.
        mine = max(self._next, now - (BURST - 1) * self._spacing)
        self._next = mine + self._spacing
        while (seconds := max(mine, self._paused_until) - self._clock()) > 0:
            await self._sleep(seconds)

    def pause(self, seconds: float) -> None:
        """Let no call out for this long: the service asked for it."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)
