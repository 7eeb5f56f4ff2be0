"""How soon polls notice the end of a task, and how many it takes: the policy on a clock of its own.

    python -m tests.runner.polling_simulation [LEDGER]

Prints a table for synthetic run times, and for those that a ledger has recorded. "known" is the number of earlier tasks
that the policy has learned from; the rows "at once" are batches that share the rate limit of a service.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import mean, median
from typing import NamedTuple

from nodes.api.dialect import Capabilities
from nodes.config import Polling
from nodes.ledger import Ledger
from nodes.runner.rate_limiter import RateLimiter
from nodes.runner.run_times import pause_before_next_poll
from tests.runner.clock import Clock

Policy = Callable[[float, int, Sequence[float], float], float]
"""From the seconds since the start, the number of polls so far, the run times of earlier tasks (ascending) and a random
number in [0, 1) to the next pause."""

RunTime = Callable[[Random], float]

SETTINGS = Polling()


def policy(elapsed: float, polls: int, run_times: Sequence[float], roll: float) -> float:
    """Return the pause of the pack's own policy, with the default settings and without an eta."""
    return pause_before_next_poll(
        elapsed,
        run_times,
        first_seconds=SETTINGS.first_seconds,
        longest_seconds=SETTINGS.longest_seconds,
        eta_seconds=None,
        roll=roll,
    )


def _mostly(share: float, usual: RunTime, other: RunTime) -> RunTime:
    return lambda random: (usual if random.random() < share else other)(random)


DISTRIBUTIONS: dict[str, RunTime] = {
    "uniform 1-5 min": lambda random: random.uniform(60, 300),
    "lognormal, median 140 s": lambda random: random.lognormvariate(math.log(140), 0.4),
    "bimodal 90 s, 4 min": _mostly(0.5, lambda random: random.gauss(90, 8), lambda random: random.gauss(240, 15)),
    "90 s, 3 of 10 queue 20 min": _mostly(
        0.7, lambda random: random.gauss(90, 8), lambda random: random.gauss(1200, 120)
    ),
    "queue of 20 min": lambda random: random.gauss(1200, 120),
    "always 3 min": lambda random: random.gauss(180, 5),
}


class Row(NamedTuple):
    """What was measured of one distribution: delays in seconds between the end of a task and the poll that notices."""

    median: float
    p95: float
    polls: float
    """By task, on average."""
    polls_of_three_minutes: int
    """Of a task that takes three minutes, the most that were counted."""
    per_minute: int
    """Of all tasks together, in the worst minute."""


def measure(run_time: RunTime, choose: Policy, *, known: int, at_once: int, batches: int, seed: int = 7) -> Row:
    """Run batches of tasks that start together and share a rate limit."""
    random = Random(seed)
    delays: list[float] = []
    polls: list[int] = []
    of_three_minutes = per_minute = 0
    for _ in range(batches):
        earlier = sorted(run_time(random) for _ in range(known))
        tasks = [max(1.0, run_time(random)) for _ in range(at_once)]
        if at_once == 1:
            ends = [_alone(tasks[0], earlier, choose, random)]
        else:
            ends = asyncio.run(_batch(tasks, earlier, choose, random))
        delays += [times[-1] - end for times, end in zip(ends, tasks, strict=True)]
        polls += [len(times) for times in ends]
        per_minute = max(per_minute, _most_in_a_minute([time for times in ends for time in times]))
        of_three_minutes = max(of_three_minutes, len(_alone(180.0, earlier, choose, random)))
    delays.sort()
    return Row(median(delays), delays[int(0.95 * len(delays))], mean(polls), of_three_minutes, per_minute)


def _alone(end: float, run_times: Sequence[float], choose: Policy, random: Random) -> list[float]:
    """Return when a task is polled that no rate limit slows down: one alone never reaches it."""
    times = [0.0]
    while times[-1] < end:
        times.append(times[-1] + choose(times[-1], len(times), run_times, random.random()))
    return times


async def _batch(
    tasks: Sequence[float], run_times: Sequence[float], choose: Policy, random: Random
) -> list[list[float]]:
    """Return when each task was polled, in seconds since its start; the last poll finds it ended."""
    clock = Clock()
    limiter = RateLimiter(Capabilities.polls_per_minute, clock=clock, sleep=clock.sleep)
    start = clock.now

    async def watch(end: float) -> list[float]:
        times: list[float] = []
        while True:
            await limiter.wait()
            times.append(clock.now - start)
            if times[-1] >= end:
                return times
            await clock.sleep(choose(times[-1], len(times), run_times, random.random()))

    watching = [asyncio.ensure_future(watch(end)) for end in tasks]
    await clock.run(86_400)
    return [task.result() for task in watching]


def _most_in_a_minute(times: list[float]) -> int:
    times.sort()
    last = most = 0
    for first, time in enumerate(times):
        while last < len(times) and times[last] < time + 60:
            last += 1
        most = max(most, last - first)
    return most


def recorded(path: Path) -> dict[str, RunTime]:
    """Return the run times that a ledger has recorded, by service."""
    ledger = Ledger(path)
    services = {record.service for record in ledger.task_list.page(limit=200).records}
    found = {service: [run.seconds for run in ledger.finished_runs(service)] for service in services}
    ledger.close()
    return {
        f"recorded, {service} ({len(times)})": lambda random, times=times: random.choice(times)  # type: ignore[misc]
        for service, times in found.items()
        if times
    }


def print_table(choose: Policy, distributions: dict[str, RunTime], *, knowns: Sequence[int] = (0, 5, 30, 100)) -> None:
    """Print a row for each distribution and number of earlier tasks, and one for a batch of 20."""
    heads = f"{'median s':>9} {'p95 s':>6} {'polls':>6} {'3 min':>6} {'/min':>5}"
    print(f"{'run times':28} {'known':>6} {'at once':>8} {heads}")
    for name, run_time in distributions.items():
        for known, at_once, batches in (*((known, 1, 2000) for known in knowns), (30, 20, 20)):
            row = measure(run_time, choose, known=known, at_once=at_once, batches=batches)
            print(
                f"{name:28} {known:6} {at_once:8} {row.median:9.1f} {row.p95:6.1f} {row.polls:6.1f} "
                f"{row.polls_of_three_minutes:6} {row.per_minute:5}"
            )


if __name__ == "__main__":
    print_table(policy, {**DISTRIBUTIONS, **(recorded(Path(sys.argv[1])) if sys.argv[1:] else {})})
