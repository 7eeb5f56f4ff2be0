"""Time that passes only while all tasks sleep."""

from __future__ import annotations

import asyncio
import heapq


class Clock:
    """A clock for code that takes its clock and its sleep as arguments."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._count = 0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        event = asyncio.Event()
        self._count += 1
        heapq.heappush(self._sleepers, (self.now + seconds, self._count, event))
        await event.wait()

    async def run(self, seconds: float) -> None:
        """Let the time pass for the tasks that were started."""
        end = self.now + seconds
        while True:
            for _ in range(5):
                await asyncio.sleep(0)
            if not self._sleepers or self._sleepers[0][0] > end:
                break
            self.now, _, event = heapq.heappop(self._sleepers)
            event.set()
        self.now = end
