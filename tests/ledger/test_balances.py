"""The change of the balance beside the estimates of the same time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from nodes.ledger import BalanceReading, Ledger
from nodes.ledger.balances import KEEP_SECONDS
from tests.ledger.helpers import claimed, wanted

SERVICE = "novita https://x"
NOON = datetime(2026, 3, 4, 12).timestamp()
HOUR = 3600.0


class Day:
    """A ledger at a time that a test moves."""

    def __init__(self, path: Path) -> None:
        self.now = NOON
        self.ledger = Ledger(path, clock=lambda: self.now)

    def read(self, usd: float, *, hours: float = 0.0, account: str = "mine") -> BalanceReading:
        self.now += hours * HOUR
        reading = BalanceReading(SERVICE, account, usd, 0.0, self.now)
        self.ledger.balances.add(reading)
        return reading

    def pay(self, name: str, estimate: float, *, hours: float = 1.0, **values: object) -> None:
        self.now += hours * HOUR
        claimed(self.ledger, wanted(name, estimate=estimate, **values))


@pytest.fixture
def day(path: Path) -> Day:
    return Day(path)


def test_compare_today_shows_that_the_price_is_wrong(day: Day) -> None:
    day.read(20.0)
    day.pay("a", 0.5)
    day.pay("b", 1.0)
    found = day.ledger.balances.compare_today(day.read(17.75, hours=1))

    assert found is not None
    assert (found.since, found.estimated_usd, found.fell_by_usd) == (NOON, pytest.approx(1.5), pytest.approx(2.25))


def test_compare_today_begins_with_the_last_reading_before_midnight(day: Day) -> None:
    day.read(30.0, hours=-3)
    day.pay("yesterday morning", 4.0)
    evening = day.read(26.0, hours=1)
    day.pay("first of the day", 0.5, hours=20)
    day.read(25.5)
    found = day.ledger.balances.compare_today(day.read(25.5, hours=1))

    assert found is not None
    assert (found.since, found.estimated_usd, found.fell_by_usd) == (evening.at, 0.5, 0.5)


def test_compare_today_counts_only_this_account_and_service(day: Day) -> None:
    day.read(99.0, account="another key")
    first = day.read(10.0, hours=1)
    day.pay("elsewhere", 3.0, service="novita https://y")
    day.pay("in the sandbox", 3.0, counted=False)
    found = day.ledger.balances.compare_today(day.read(30.0, hours=1))

    assert found is not None
    assert (found.since, found.estimated_usd, found.fell_by_usd) == (first.at, 0.0, -20.0)


def test_compare_today_needs_an_earlier_reading(day: Day) -> None:
    assert day.ledger.balances.compare_today(day.read(10.0)) is None


def test_readings_are_forgotten_after_a_month(day: Day) -> None:
    day.read(10.0)
    later = day.read(9.0, hours=KEEP_SECONDS / HOUR + 1)

    assert day.ledger.balances.compare_today(later) is None
