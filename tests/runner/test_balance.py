"""The balance: read for the budget, after each video, and never in a video's way."""

from __future__ import annotations

import asyncio
import time

import pytest

from nodes.api.connection import Connection
from nodes.config import Budget
from nodes.core.errors import BudgetError, ServiceError, Wan27Error
from nodes.runner import balance, fetching
from tests.fixtures import House
from tests.runner.conftest import soon
from tests.service import Service, at

KEEP_5 = Budget(per_run_usd=1000, per_day_usd=1000, min_balance_usd=5.0)


def test_balance_after_a_video_is_in_its_info(house: House, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "BALANCE_WAIT_SECONDS", 30.0)  # this machine may be busy
    service.credit_usd, service.usd_per_task = 20.0, 0.35
    [finished] = house.run()

    assert finished.info["balance_usd"] == 19.65
    assert "balance_usd" not in house.run()[0].info, "nothing was fetched"


@pytest.mark.parametrize("fault", ["server_error", "unavailable", "unauthorized"])
def test_balance_that_cannot_be_read_is_left_out(house: House, service: Service, fault: str) -> None:
    service.faults(*at("balance", fault, count=None))
    [finished] = house.run()

    assert finished.path.is_file()
    assert "balance_usd" not in finished.info


def test_balance_that_takes_long_does_not_hold_up_a_video(house: House, service: Service) -> None:
    service.faults(*at("balance", "slow", seconds=3600, count=None))
    [finished] = house.run()

    assert finished.path.is_file()
    assert "balance_usd" not in finished.info


def test_balance_is_not_asked_for_in_the_sandbox(house: House, service: Service) -> None:
    house.connection = Connection("sandbox", service.url, "key")
    house.start(budget=KEEP_5)
    [finished] = house.run()

    assert "balance_usd" not in finished.info
    assert service.count["balance"] == 0


def test_balance_too_low_refuses_a_batch_before_its_first_post(house: House, service: Service) -> None:
    service.credit_usd = 5.5
    house.start(budget=KEEP_5)
    with pytest.raises(BudgetError, match=r"\$5\.50 are available, new videos would cost about \$0\.60"):
        house.run(*(house.order(seed) for seed in (1, 2, 3)))
    assert service.posts() == []

    house.run(house.order(1), house.order(2))
    assert len(service.posts()) == 2


def test_balance_is_asked_for_once_for_nodes_side_by_side(house: House, service: Service) -> None:
    """They pass the limit together with the third video: what was sent meanwhile is subtracted."""
    service.credit_usd = 5.5
    house.start(budget=KEEP_5)
    service.finish.clear()

    async def graph() -> list[object]:
        each = (house.submit(house.order(seed)) for seed in (1, 2, 3))
        return await asyncio.gather(*each, return_exceptions=True)

    outcomes = asyncio.run(graph())

    assert [isinstance(outcome, BudgetError) for outcome in outcomes].count(True) == 1
    assert len(service.posts()) == 2
    assert service.count["balance"] == 1


def test_balance_is_not_needed_for_a_video_that_was_paid_for(house: House, service: Service) -> None:
    house.run()
    service.credit_usd = 0.0
    service.faults(*at("balance", "server_error", count=None))
    house.start(budget=KEEP_5)

    assert house.run()[0].path.is_file()
    assert len(service.posts()) == 1


def test_balance_that_cannot_be_read_sends_nothing_if_it_is_needed(house: House, service: Service) -> None:
    service.faults(*at("balance", "unauthorized", count=None))
    house.start(budget=KEEP_5)
    with pytest.raises(BudgetError, match=r"cannot be read: .*INVALID_API_KEY.*nothing was sent.*min_balance_usd to 0"):
        house.run()
    assert service.posts() == []
    assert house.ledger().spent("run") == (0.0, 0.0)


def test_balance_is_reused_while_it_is_recent(house: House, service: Service) -> None:
    now = [time.time()]
    house.start(wall_clock=lambda: now[0])

    def read() -> float:
        return asyncio.run(house.runner.balance(house.connection)).available_usd

    assert read() == 100.0
    service.credit_usd = 50.0
    now[0] += 9
    assert read() == 100.0
    now[0] += 1
    assert read() == 50.0
    house.connection = Connection("novita", service.url, "another-account")
    assert read() == 50.0
    assert service.count["balance"] == 3


def test_failure_counts_for_some_seconds_only(house: House, service: Service) -> None:
    now = [time.time()]
    house.start(wall_clock=lambda: now[0])
    service.faults(*at("balance", "server_error"))

    def read() -> float:
        return asyncio.run(house.runner.balance(house.connection)).available_usd

    for _ in range(2):
        with pytest.raises(ServiceError, match="GET_BALANCE_FAILED"):
            read()
    now[0] += 5
    assert read() == 100.0


def test_balance_of_a_service_that_reports_none_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(house.connection.dialect), "balance", lambda _: None)

    assert not house.connection.reports_balance
    with pytest.raises(Wan27Error, match="does not report the balance"):
        asyncio.run(house.runner.balance(house.connection))
    assert "balance_usd" not in house.run()[0].info


def test_readings_show_a_wrong_price(house: House, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate of each video is $0.20, and the service takes $0.35."""
    service.usd_per_task = 0.35
    monkeypatch.setattr(balance, "BALANCE_SECONDS", 0.0)
    asyncio.run(house.runner.balance(house.connection))
    house.run(house.order(1), house.order(2))
    latest = asyncio.run(house.runner.balance(house.connection))
    found = house.ledger().balances.compare_today(latest)

    assert found is not None
    assert (found.estimated_usd, found.fell_by_usd) == (pytest.approx(0.4), pytest.approx(0.7))
    assert b"key-of-a-test" not in house.ledger().database.path.read_bytes()


def test_balance_is_read_before_the_first_video_of_a_process(house: House, service: Service) -> None:
    service.finish.clear()

    async def graph() -> None:
        await house.submit()
        await soon(lambda: service.count["balance"])
        service.finish.set()

    asyncio.run(graph())
