from __future__ import annotations

import asyncio
import threading

from nodes.api.connection import Connection
from tests.fixtures import House
from tests.runner.conftest import soon
from tests.service import Service, at


def test_scanner_resumes_a_task_that_was_given_up(house: House, service: Service) -> None:
    service.faults(*at("result", "unauthorized", count=3))
    house.start(scan_seconds=0.05)
    asyncio.run(house.submit())  # and no caller waits
    asyncio.run(soon(lambda: house.states() == ["saved"]))
    assert service.fault_hits()[0]["hits"] == 3
    assert len(service.accepted()) == 1


def test_scanner_resumes_a_task_once_its_connection_is_set(house: House, service: Service) -> None:
    connection = house.connection
    service.faults(*at("result", "processing", count=None))
    asyncio.run(house.submit())
    house.runner.close(1.0)
    service.faults()
    asked: list[str] = []

    def connection_for(name: str, base_url: str) -> Connection | None:
        asked.append(name)
        return connection if len(asked) > 2 else None

    house.start(scan_seconds=0.05, connection_for=connection_for).resume_unfinished()
    asyncio.run(soon(lambda: house.states() == ["saved"]))


def test_scanner_writes_nothing_and_ends_with_the_runner(house: House, service: Service) -> None:
    house.connection = Connection("sandbox", service.url, "key")  # a balance may be recorded after the video
    others = set(threading.enumerate())
    house.start(scan_seconds=0.01)
    house.run()
    (thread,) = (thread for thread in set(threading.enumerate()) - others if thread.name == "wan27-runner")
    ledger = house.ledger_in_use.database.path
    looked: list[float] = []
    unfinished = house.ledger_in_use.take_over_unfinished
    before = ledger.stat().st_mtime_ns
    house.ledger_in_use.take_over_unfinished = lambda age: looked.append(age) or unfinished(age)  # type: ignore[method-assign,func-returns-value]
    asyncio.run(soon(lambda: len(looked) > 3))
    assert ledger.stat().st_mtime_ns == before
    assert thread.is_alive()
    house.runner.close(1.0)
    asyncio.run(soon(lambda: not thread.is_alive()))
