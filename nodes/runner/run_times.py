"""How long tasks take, judged by earlier ones: the time that is left, and when to poll next. Policy without I/O."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..ledger import FinishedRun

ENOUGH = 5
"""Earlier tasks that an expectation should rest on. If fewer are like the one in question, the nearest help out."""

TYPICAL: Sequence[float] = range(70, 301, 10)
"""Run times in seconds that count as well while few are known: most tasks take one to five minutes."""
ENOUGH_TO_KNOW = 20
"""With this many earlier tasks, `TYPICAL` no longer counts."""

NEAR = 0.1
"""A task may end now if an earlier one took as long, give or take this part."""
EARLIEST = 0.1
"""This share of the earlier tasks, the quickest, is left out: they alone must not make polls frequent."""
DENSE = 0.37
"""The pause while a task may end, as a part of the longest one: 5.5 s of 15 s. Half of it, the median delay until the
end is noticed, is below 3 s, and three minutes take less than 30 polls."""
OVERDUE = 240
"""A task that takes longer than all before is polled 240 times in the time it has taken: every 15 s after an hour."""

SPREAD = 1.25
"""p90 is at least this many times p50: a few tasks say little about the slow ones."""


def similar_run_times(runs: Iterable[FinishedRun], resolution: object, duration: object) -> list[float]:
    """Return the run times of the tasks that are most like this one, ascending.

    Those with the same resolution and duration. If there are fewer than `ENOUGH`, also those with the nearest other
    durations, then those with another resolution. None for what is not known of the task.
    """

    def distance(run: FinishedRun) -> tuple[bool, int]:
        far = abs(run.duration - duration) if isinstance(duration, int) and run.duration is not None else 0
        return resolution not in (None, run.resolution), far

    ordered = sorted(runs, key=distance)
    if not ordered:
        return []
    farthest = distance(ordered[min(ENOUGH, len(ordered)) - 1])
    return sorted(run.seconds for run in ordered if distance(run) <= farthest)


def usual_seconds(run_times: Sequence[float]) -> tuple[float, float] | None:
    """Return p50 and p90 of ascending run times, None if there are none."""
    if not run_times:
        return None
    p50, p90 = (run_times[min(int(len(run_times) * share), len(run_times) - 1)] for share in (0.5, 0.9))
    return p50, max(p90, p50 * SPREAD)


def seconds_left(elapsed: float, usual: tuple[float, float]) -> float:
    """Return the seconds that a task has probably left, 0 if it takes longer than usual.

    At first p50 is the goal. The closer it comes, the more likely the task is a slow one, so the time slows down to
    half its speed and ends at p90. It never jumps.
    """
    p50, p90 = usual
    return max(p50 - elapsed, (p90 - elapsed) / 2, 0.0)


def pause_before_next_poll(
    elapsed: float,
    run_times: Sequence[float],
    *,
    first_seconds: float,
    longest_seconds: float,
    eta_seconds: float | None,
    roll: float,
) -> float:
    """Return the seconds to the next poll of an unfinished task: rare at first, often when it may end.

    The pauses double from the first to the longest, so that a task that fails at once is noticed at once. From the time
    on that earlier tasks ended at, they are `DENSE`. An eta moves the next poll to the moment the task should be ready,
    but not outside the two settings of [polling]: the service only guesses it.

    Args:
        elapsed: seconds since the task was submitted.
        run_times: of similar tasks, ascending.
        roll: a random number in [0, 1); spreads the polls of a batch over a tenth of the pause.
    """
    if eta_seconds is not None and eta_seconds > 0:
        pause = eta_seconds
    else:
        pause = min(first_seconds + elapsed, _until_it_may_end(elapsed, run_times, longest_seconds))
    return min(max(pause, first_seconds), longest_seconds) * (0.95 + 0.1 * roll)


def _until_it_may_end(elapsed: float, run_times: Sequence[float], longest_seconds: float) -> float:
    known = run_times if len(run_times) >= ENOUGH_TO_KNOW else sorted([*run_times, *TYPICAL])
    dense = DENSE * longest_seconds
    next_end = max(bisect_left(known, elapsed / (1 + NEAR)), int(len(known) * EARLIEST))
    if next_end == len(known):
        return max(dense, elapsed / OVERDUE)
    return max(dense, known[next_end] * (1 - NEAR) - elapsed)
