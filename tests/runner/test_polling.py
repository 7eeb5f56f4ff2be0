from __future__ import annotations

import pytest

from nodes.core.errors import (
    AuthenticationError,
    ServerError,
    TaskFailedError,
)
from nodes.runner.polling import FAILURES_IN_A_ROW
from tests.fixtures import House
from tests.runner.conftest import content
from tests.service import Service, at


def test_polling_continues_after_every_kind_of_error(house: House, service: Service) -> None:
    service.faults(
        *at("result", "not_found", "server_error", "cut", "broken_json"),
        *at("result", "rate_limit", retry_after=0),
        *at("result", "processing", "unavailable", "not_found"),
    )
    [finished] = house.run()
    assert finished.path.read_bytes() == content(service)


def test_polling_with_a_wrong_key_keeps_the_task(house: House, service: Service) -> None:
    service.faults(*at("result", "unauthorized", count=2))
    with pytest.raises(AuthenticationError):
        house.run()
    service.faults()
    house.run()
    assert len(service.accepted()) == 1


def test_polling_takes_a_failure_reported_repeatedly_as_final(house: House, service: Service) -> None:
    service.faults(*at("result", "task_failed", count=FAILURES_IN_A_ROW))
    with pytest.raises(TaskFailedError, match="TASK_FAILED - set by a test"):
        house.run()
    assert house.states() == ["failed"]
    assert house.ledger().spent("run")[0] == pytest.approx(0.2)  # no refund is documented
    house.run()
    assert len(service.accepted()) == 2


def test_polling_ignores_a_failure_reported_occasionally(house: House, service: Service) -> None:
    few = ["task_failed"] * (FAILURES_IN_A_ROW - 1)
    service.faults(*at("result", *few, "processing", *few, "server_error", *few))
    [finished] = house.run()
    assert finished.path.read_bytes() == content(service)


def test_polling_never_fails_a_task_that_was_finished_once(house: House, service: Service) -> None:
    [finished] = house.run()
    finished.path.unlink()
    service.faults(*at("result", "task_failed", count=FAILURES_IN_A_ROW))
    with pytest.raises(ServerError, match="TASK_FAILED"):
        house.run()
    house.run()
    assert len(service.accepted()) == 1
