from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from nodes.api.retry import RATE_LIMIT_BACKOFF
from nodes.core.backoff import Backoff
from nodes.core.errors import (
    ContentError,
    NotDeliveredError,
    OutcomeUnknownError,
)
from nodes.ledger import TaskFilter
from tests.fixtures import House
from tests.runner.conftest import only, soon
from tests.service import Service, at


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "lost_answer"},
        {"kind": "refuse"},
        {"kind": "server_error"},
        {"kind": "unavailable"},
        {"kind": "error", "status": 408, "reason": ""},
        {"kind": "page"},
        {"kind": "no_id"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_submission_with_a_lost_answer_is_not_repeated_automatically(
    house: House, service: Service, fault: dict[str, Any]
) -> None:
    service.faults({"at": "submit", **fault})
    with pytest.raises(OutcomeUnknownError, match="paste its task id"):
        house.run()
    for _ in range(3):
        with pytest.raises(OutcomeUnknownError, match="submit_again"):
            house.run()
    assert service.count["submit"] == 1
    assert house.states() == ["unknown"]
    house.run(house.order(on_repeat="submit_again"))
    assert service.count["submit"] == 2
    house.run()  # reuse finds the one that worked
    assert service.count["submit"] == 2


def test_submission_refused_may_be_sent_again(house: House, service: Service) -> None:
    service.faults(*at("submit", "error"))
    with pytest.raises(ContentError, match="ILLEGAL_PROMPT"):
        house.run()
    assert house.states() == ["failed"]
    house.run()
    assert service.count["submit"] == 2


def test_submission_rate_limited_is_repeated(house: House, service: Service) -> None:
    service.faults(*at("submit", "rate_limit", count=2, retry_after=0))
    house.run()
    assert (service.count["submit"], len(service.accepted())) == (3, 1)


def test_submission_is_repeated_until_a_connection_is_accepted(house: House, service: Service) -> None:
    service.stop()

    async def graph() -> str:
        task = asyncio.ensure_future(house.submit())
        await soon(lambda: "intent" in house.states())
        service.start()
        return only(await task).task_id

    assert [asyncio.run(graph())] == service.accepted()
    assert service.count["submit"] == 1


def test_submission_waiting_for_a_slot_uses_up_no_retry_time(house: House, service: Service) -> None:
    later = [0.0]
    house.start(clock=lambda: time.monotonic() + later[0])
    service.faults(*at("submit", "rate_limit", skip=4, count=2, retry_after=0))

    async def graph() -> None:
        service.answer.clear()
        task = asyncio.ensure_future(house.submit(*(house.order(seed=seed) for seed in range(5))))
        await soon(lambda: len(service.accepted()) == 4)
        later[0] = 2 * RATE_LIMIT_BACKOFF.budget_seconds  # that long the first four keep the fifth waiting
        service.answer.set()
        assert len(await task) == 5

    asyncio.run(graph())
    assert service.count["submit"] == 7


def test_submission_to_an_unreachable_service_fails_and_costs_no_budget(house: House, service: Service) -> None:
    service.stop()
    house.start(not_delivered=Backoff(0.01, 0.01, 0.05))
    with pytest.raises(NotDeliveredError, match="cannot be reached"):
        house.run()
    assert house.states() == ["failed"]
    assert house.ledger().spent("run") == (0.0, 0.0)


def test_submission_answered_with_task_failed_is_unknown(house: House, service: Service) -> None:
    service.faults(*at("submit", "error", status=500, reason="TASK_FAILED"))
    with pytest.raises(OutcomeUnknownError):
        house.run()
    assert (service.count["submit"], house.states()) == (1, ["unknown"])


def test_submission_refused_for_a_lost_answer_puts_its_task_back_on_the_list(house: House, service: Service) -> None:
    service.faults(*at("submit", "server_error"))
    with pytest.raises(OutcomeUnknownError):
        house.run()
    [hidden] = house.ledger().task_list.ids(TaskFilter())
    assert house.ledger().hide(hidden)

    with pytest.raises(OutcomeUnknownError):
        house.run()

    assert house.ledger().task_list.ids(TaskFilter()) == [hidden]
    assert len(service.posts()) == 1
