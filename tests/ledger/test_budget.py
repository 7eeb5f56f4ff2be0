from __future__ import annotations

from datetime import datetime

import pytest

from nodes.config import Budget
from nodes.core.errors import BudgetError
from nodes.ledger.budget import check, day_bounds, day_of, day_start

LIMITS = Budget(per_run_usd=10.0, per_day_usd=50.0)


@pytest.mark.parametrize(
    ("cost", "run", "day", "setting"),
    [
        (10.0, 0.0, 0.0, None),
        (10.01, 0.0, 0.0, "per_run_usd"),
        (4.0, 6.0, 6.0, None),
        (4.5, 6.0, 6.0, "per_run_usd"),
        (5.0, 0.0, 45.0, None),
        (5.0, 0.0, 45.5, "per_day_usd"),
        (0.0, 99.0, 99.0, None),
        (0.1 + 0.2, 9.7, 9.7, None),
    ],
)
def test_check_at_and_above_each_limit(cost: float, run: float, day: float, setting: str | None) -> None:
    def attempt() -> None:
        check(cost, budget=LIMITS, spent_in_run=run, spent_today=day, videos=2)

    if setting is None:
        attempt()
        return
    with pytest.raises(BudgetError) as caught:
        attempt()
    text = str(caught.value)
    assert setting in text
    assert "[budget] in config.toml" in text
    assert f"${cost:.2f}" in text


def test_check_without_a_run() -> None:
    """What is certain when a prompt is queued: no run has spent anything yet."""
    check(0.0, budget=LIMITS, spent_today=1000.0, videos=0)
    check(10.0, budget=LIMITS, spent_today=0.0, videos=2)
    with pytest.raises(BudgetError, match=r"3 new videos would cost about \$15.00"):
        check(15.0, budget=LIMITS, spent_today=0.0, videos=3)
    with pytest.raises(BudgetError, match="per_day_usd"):
        check(5.0, budget=LIMITS, spent_today=46.0, videos=1)


def test_day_start_is_local_midnight() -> None:
    noon = datetime(2026, 3, 4, 12, 30)
    assert datetime.fromtimestamp(day_start(noon.timestamp())) == datetime(2026, 3, 4)


def test_day_bounds_are_the_midnights_of_a_day() -> None:
    since, until = day_bounds("2026-11-26")

    assert (day_of(since), day_of(until), day_of(until - 1)) == ("2026-11-26", "2026-11-27", "2026-11-26")


@pytest.mark.parametrize("day", ["0002-11-26", "0202-11-26", "1969-12-31", "9999-12-31", "2026-02-30", "today"])
def test_day_bounds_refuse_what_some_system_has_no_time_of(day: str) -> None:
    with pytest.raises(ValueError, match=r"not in the years|does not match|out of range"):
        day_bounds(day)
