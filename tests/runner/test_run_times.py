"""The time left and the polls, as tables; polling_simulation.py measures what they lead to."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from nodes.ledger import FinishedRun
from nodes.runner.run_times import (
    ENOUGH,
    TYPICAL,
    pause_before_next_poll,
    seconds_left,
    similar_run_times,
    usual_seconds,
)
from tests.runner.polling_simulation import DISTRIBUTIONS, measure, policy


def runs(resolution: str | None, duration: int | None, *seconds: float) -> list[FinishedRun]:
    return [FinishedRun(resolution, duration, each) for each in seconds]


MANY = runs("720P", 5, 60, 62, 64, 66, 68)


@pytest.mark.parametrize(
    ("known", "resolution", "duration", "expected"),
    [
        ([], "720P", 5, []),
        ([*MANY, *runs("720P", 10, 120), *runs("1080P", 5, 100)], "720P", 5, [60, 62, 64, 66, 68]),
        (
            [*runs("720P", 5, 60), *runs("720P", 6, 70, 71, 72, 73), *runs("720P", 15, 200)],
            "720P",
            5,
            [60, 70, 71, 72, 73],
        ),
        ([*runs("1080P", 5, 100), *runs("720P", 15, 200)], "720P", 5, [100, 200]),
        ([*MANY, *runs("1080P", 5, 100, 101, 102, 103, 104)], "1080P", 6, [100, 101, 102, 103, 104]),
        ([*MANY, *runs(None, None, 300)], None, None, [60, 62, 64, 66, 68, 300]),
    ],
    ids=[
        "nothing",
        "the same",
        "nearest duration too",
        "another resolution too",
        "resolution first",
        "all for a pasted id",
    ],
)
def test_similar_run_times_are_of_the_most_similar_tasks(
    known: list[FinishedRun], resolution: str | None, duration: int | None, expected: list[float]
) -> None:
    assert len(MANY) == ENOUGH
    assert similar_run_times(known, resolution, duration) == expected


@pytest.mark.parametrize(
    ("run_times", "usual"),
    [([], None), ([80.0], (80.0, 100.0)), ([float(second) for second in range(100, 200)], (150.0, 190.0))],
    ids=["none", "one", "many"],
)
def test_usual_seconds_are_p50_and_p90(run_times: Sequence[float], usual: tuple[float, float] | None) -> None:
    assert usual_seconds(run_times) == usual


def test_seconds_left_never_jump_or_grow_and_end_at_p90() -> None:
    usual = (100.0, 150.0)
    left = [seconds_left(float(elapsed), usual) for elapsed in range(200)]
    assert left[0] == 100
    assert left[149] > 0
    assert left[150:] == [0.0] * 50
    assert all(0 <= before - after <= 1 for before, after in itertools.pairwise(left))


HOUR = [1200.0] * 30


@pytest.mark.parametrize(
    ("elapsed", "run_times", "eta", "pause"),
    [
        (0, [], None, 2.0),
        (2, [], None, 4.0),
        (6, [], None, 8.0),
        (30, [], None, 15.0),
        (120, [], None, 5.55),
        (400, [], None, 5.55),
        (2400, [], None, 10.0),
        (90_000, [], None, 15.0),
        (400, HOUR, None, 15.0),
        (1070, HOUR, None, 10.0),
        (1100, HOUR, None, 5.55),
        (1300, HOUR, None, 5.55),
        (0, [], 10.0, 10.0),
        (120, [], 4.0, 4.0),
        (120, [], 0.5, 2.0),
        (120, [], 300.0, 15.0),
        (120, [], 0.0, 5.55),
    ],
)
def test_pause_before_next_poll_is_short_when_earlier_tasks_ended(
    elapsed: float, run_times: Sequence[float], eta: float | None, pause: float
) -> None:
    found = pause_before_next_poll(elapsed, run_times, first_seconds=2, longest_seconds=15, eta_seconds=eta, roll=0.5)
    assert found == pytest.approx(pause)


def test_pause_before_next_poll_keeps_to_the_settings() -> None:
    for elapsed in (*range(0, 400, 7), 5000):
        for roll in (0.0, 0.99):
            found = pause_before_next_poll(
                elapsed, TYPICAL, first_seconds=5, longest_seconds=6, eta_seconds=None, roll=roll
            )
            assert 5 * 0.95 <= found <= 6 * 1.05


@pytest.mark.parametrize("known", [0, 30], ids=["first task", "after 30 tasks"])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_polls_notice_the_end_soon_with_few_calls(name: str, known: int) -> None:
    row = measure(DISTRIBUTIONS[name], policy, known=known, at_once=1, batches=1000)
    assert row.median <= 3
    assert row.p95 <= 10
    assert row.polls_of_three_minutes <= 30


def test_polls_of_twenty_tasks_stay_below_the_rate_of_the_service() -> None:
    row = measure(DISTRIBUTIONS["uniform 1-5 min"], policy, known=30, at_once=20, batches=3)
    assert row.per_minute <= 60
