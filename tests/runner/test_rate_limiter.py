from __future__ import annotations

import asyncio

from nodes.runner.rate_limiter import BURST, RateLimiter
from tests.runner.clock import Clock


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
    got = calls(RateLimiter(60, clock=clock, sleep=clock.sleep), clock, tasks=7, seconds=60)
    assert 55 <= len(got) <= 60
    counts = [sum(number == task for _, number in got) for task in range(7)]
    assert max(counts) - min(counts) <= BURST + 1  # first come, first served; the first may use what was saved up


def test_rate_limiter_pause_stops_all_tasks() -> None:
    clock = Clock()
    got = calls(RateLimiter(60, clock=clock, sleep=clock.sleep), clock, tasks=3, seconds=60, pause=30)
    assert min(at for at, _ in got) >= 30


def test_rate_limiter_without_a_rate_only_pauses() -> None:
    clock = Clock()
    limiter = RateLimiter(None, clock=clock, sleep=clock.sleep)
    asyncio.run(asyncio.wait_for(limiter.wait(), 5))
    limiter.pause(10)

    async def main() -> None:
        task = asyncio.ensure_future(limiter.wait())
        await clock.run(9.9)
        assert not task.done()
        await clock.run(0.2)
        assert task.done()

    asyncio.run(main())
