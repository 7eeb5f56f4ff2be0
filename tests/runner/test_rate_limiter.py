from __future__ import annotations

import asyncio
import heapq

from nodes.runner.rate_limiter import BURST, RateLimiter


class Clock:
    """Time that passes only while all tasks sleep."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleepers: list[tuple[float, int, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        event = asyncio.Event()
        heapq.heappush(self.sleepers, (self.now + seconds, len(self.sleepers), event))
        await event.wait()

    async def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            for _ in range(5):
                await asyncio.sleep(0)
            if not self.sleepers or self.sleepers[0][0] > end:
                break
            self.now, _, event = heapq.heappop(self.sleepers)
            event.set()
        self.now = end


def calls(
    limiter: RateLimiter, clock: Clock, tasks: int, seconds: float, pause: float = 0.0
) -> list[tuple[float, int]]:
    """When the calls of some tasks that call again and again go out."""
    got: list[tuple[float, int]] = []

    async def ask(number: int) -> None:
        while True:
            await limiter.wait()
            got.append((clock.now - 1000.0, number))

    async def main() -> None:
        asking = [asyncio.ensure_future(ask(number)) for number in range(tasks)]
        if pause:
            limiter.pause(pause)
        await clock.run(seconds)
        for task in asking:
            task.cancel()

    asyncio.run(main())
    return got


def test_rate_limiter_keeps_all_tasks_together_below_the_rate() -> None:
    clock = Clock()
    got = calls(RateLimiter(60, clock=lambda: clock.now, sleep=clock.sleep), clock, tasks=7, seconds=60)
    assert 60 <= len(got) <= 60 + BURST
    counts = [sum(number == task for _, number in got) for task in range(7)]
    assert max(counts) - min(counts) <= BURST + 1  # first come, first served; the first may use what was saved up


def test_rate_limiter_pause_stops_all_tasks() -> None:
    clock = Clock()
    got = calls(RateLimiter(60, clock=lambda: clock.now, sleep=clock.sleep), clock, tasks=3, seconds=60, pause=30)
    assert min(at for at, _ in got) >= 30


def test_rate_limiter_without_a_rate_only_pauses() -> None:
    clock = Clock()
    limiter = RateLimiter(None, clock=lambda: clock.now, sleep=clock.sleep)
    asyncio.run(asyncio.wait_for(limiter.wait(), 5))
    limiter.pause(10)

    async def main() -> None:
        task = asyncio.ensure_future(limiter.wait())
        await clock.run(9.9)
        assert not task.done()
        await clock.run(0.2)
        assert task.done()

    asyncio.run(main())
