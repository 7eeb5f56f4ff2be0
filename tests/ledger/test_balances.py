"""What must stay in the account, and the change of the balance beside the estimates of the same time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from nodes.config import Budget
from nodes.core.errors import BudgetError, NotDeliveredError
from nodes.ledger import BalanceReading, BalanceRequiredError, Ledger
from nodes.ledger.balances import KEEP_SECONDS, check_balance
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


KEEP_5 = Budget(min_balance_usd=5.0)


def reading(usd: float) -> BalanceReading:
    return BalanceReading(SERVICE, "mine", usd, 0.0, NOON)


@pytest.mark.parametrize(
    ("available", "reserved", "cost", "problem"),
    [
        (6.0, 0.0, 1.0, ""),
        (6.0, 0.0, 1.01, "new videos would cost about $1.01"),
        (6.0, 0.6, 0.5, "$0.60 of it are reserved for videos that are being made"),
        (5.3, 0.0, 0.1 + 0.2, ""),
        (5.0, 0.0, 0.0, ""),
        (4.99, 0.0, 0.0, "$4.99 are available, and min_balance_usd under [budget] in config.toml is $5.00"),
        (-1.0, 0.0, 0.0, "Add credit to the account"),
    ],
)
def test_check_balance_names_balance_limit_and_way_out(
    available: float, reserved: float, cost: float, problem: str
) -> None:
    def check() -> None:
        check_balance(cost, balance=reading(available), reserved=reserved, budget=KEEP_5)

    if not problem:
        check()
        return
    with pytest.raises(BudgetError) as caught:
        check()
    text = str(caught.value)
    assert problem in text
    assert all(word in text for word in ("$5.00", "min_balance_usd (0: do not look", "Nothing was sent"))


def test_check_balance_refuses_if_it_cannot_be_read() -> None:
    with pytest.raises(BudgetError, match=r"cannot be read: The service is down\. .*nothing was sent.*to 0"):
        check_balance(0.0, balance=NotDeliveredError("The service is down."), budget=KEEP_5)


def test_claim_asks_for_the_balance_only_for_something_new(day: Day) -> None:
    budget = Budget(min_balance_usd=5.0)
    with pytest.raises(BalanceRequiredError):
        claimed(day.ledger, wanted("a"), budget=budget)
    claimed(day.ledger, wanted("a"), budget=Budget())

    assert not claimed(day.ledger, wanted("a"), budget=budget)[0].is_new
    assert claimed(day.ledger, wanted("free", counted=False), budget=budget)[0].is_new


def test_claim_subtracts_what_a_reading_does_not_contain(day: Day) -> None:
    """A reading of 10 minutes ago, 1 USD for a running task, and 1 USD for each new one."""
    claimed(day.ledger, wanted("running"))
    latest = day.read(7.5, hours=0.1)
    day.now += 600

    def claim(name: str) -> None:
        day.ledger.claim([wanted(name)], reuse=[True], budget=KEEP_5, balance=latest)

    claim("first")
    with pytest.raises(BudgetError, match=r"\$2\.00 of it are reserved"):
        claim("second")
    assert day.ledger.task_list.page().total == 2
