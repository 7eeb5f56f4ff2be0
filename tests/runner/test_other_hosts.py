"""Requests and tasks of one host while the settings name another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nodes.api.connection import Connection
from nodes.core.errors import LedgerError, OutcomeUnknownError, TaskNotFoundError
from nodes.ledger import Upload
from tests.fixtures import House
from tests.runner.conftest import content, soon
from tests.service import Service, at


def upload(url: str) -> Upload:
    return Upload(url, "a" * 64, "b" * 64, "image", "s3")


@pytest.fixture
def other_service(tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path / "other", rendered=False) as made:
        yield made


class Chain(House):
    """A house with keys for two hosts; `go` makes the other one current."""

    def __init__(self, folder: Path, service: Service, other: Service) -> None:
        self.connections = {
            "novita": Connection("novita", service.url, "key-of-a-test"),
            "ppio": Connection("ppio", other.url, "another-key"),
        }
        super().__init__(folder, service)
        self.runner.close(1.0)
        self.start(connection_for=lambda name, base_url: self.connections.get(name))

    def go(self, name: str) -> None:
        self.connection = self.connections[name]


@pytest.fixture
def chain(tmp_path: Path, service: Service, other_service: Service) -> Iterator[Chain]:
    made = Chain(tmp_path, service, other_service)
    yield made
    made.close()


def test_request_is_reused_from_another_host(chain: Chain, service: Service, other_service: Service) -> None:
    [first] = chain.run()
    chain.go("ppio")
    [submitted] = asyncio.run(chain.submit())
    assert (submitted.reused, submitted.estimated_cost) == (True, 0)
    assert submitted.note == "already submitted at Novita AI; on_repeat submit_again makes another"
    assert asyncio.run(chain.wait(submitted.task_id)).path == first.path
    assert (len(service.posts()), len(other_service.posts())) == (1, 0)


def test_request_is_reused_from_another_host_by_its_media(
    chain: Chain, service: Service, other_service: Service
) -> None:
    for url in ("https://one.test/a.png", "https://two.test/b.png"):
        chain.ledger().uploads.add(upload(url))
    chain.run(chain.order(image_url="https://one.test/a.png"))
    chain.go("ppio")
    [finished] = chain.run(chain.order(image_url="https://two.test/b.png"))
    assert finished.info["connection"] == "novita"
    assert (len(service.posts()), len(other_service.posts())) == (1, 0)


def test_unfinished_task_of_another_host_is_fetched_there(
    chain: Chain, service: Service, other_service: Service
) -> None:
    service.finish.clear()
    [first] = asyncio.run(chain.submit())
    chain.go("ppio")
    service.finish.set()
    [finished] = chain.run()
    assert finished.path.read_bytes() == content(service)
    assert finished.info["task_id"] == first.task_id
    assert other_service.count["result"] == 0


def test_pasted_task_id_is_fetched_where_the_ledger_knows_it(
    chain: Chain, service: Service, other_service: Service
) -> None:
    [first] = chain.run()
    first.path.unlink()
    chain.go("ppio")
    again = asyncio.run(chain.wait(service.accepted()[0]))
    assert again.path.read_bytes() == content(service)
    foreign = other_service.make(image_url="https://x.test/b.png")
    assert asyncio.run(chain.wait(foreign)).info["connection"] == "ppio"


def test_pasted_task_id_that_nobody_knows_names_the_host_that_was_asked(chain: Chain) -> None:
    chain.go("ppio")
    with pytest.raises(TaskNotFoundError, match=r"so PPIO was asked\. .* set connection in config.toml"):
        asyncio.run(chain.wait("no-such-task"))


def test_task_of_a_host_without_a_key_names_its_settings_and_is_logged(
    chain: Chain, service: Service, other_service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.faults(*at("result", "processing", count=None))
    [first] = asyncio.run(chain.submit())
    chain.runner.close(1.0)
    del chain.connections["novita"]
    chain.connection = chain.connections["ppio"]
    chain.start(connection_for=lambda name, base_url: chain.connections.get(name)).resume_unfinished()
    asyncio.run(soon(lambda: first.task_id in caplog.text))
    assert "is at Novita AI, and the settings have no key" in caplog.text
    [submitted] = asyncio.run(chain.submit())
    assert submitted.task_id == first.task_id
    with pytest.raises(LedgerError, match=r"NOVITA_API_KEY.*to collect its video.*submit_again"):
        asyncio.run(chain.wait(first.task_id))
    assert other_service.posts() == []


def test_unknown_outcome_at_another_host_is_not_paid_again(
    chain: Chain, service: Service, other_service: Service
) -> None:
    service.faults(*at("submit", "lost_answer"))
    with pytest.raises(OutcomeUnknownError):
        chain.run()
    chain.go("ppio")
    with pytest.raises(OutcomeUnknownError, match=r'was sent to Novita AI on .* set connection = "novita" in config'):
        chain.run()
    assert other_service.posts() == []
    chain.run(chain.order(on_repeat="submit_again"))
    assert len(other_service.accepted()) == 1


def test_sandbox_and_hosts_share_no_requests(chain: Chain, service: Service, other_service: Service) -> None:
    in_sandbox = replace(chain.order(), connection=Connection("sandbox", service.url, "sandbox"))
    asyncio.run(chain.submit(in_sandbox))
    chain.go("ppio")
    asyncio.run(chain.submit())
    asyncio.run(chain.submit(in_sandbox))
    assert (len(service.posts()), len(other_service.posts())) == (1, 1)


def test_node_that_runs_again_after_a_change_of_hosts_pays_once(
    chain: Chain, service: Service, other_service: Service
) -> None:
    order = chain.order(on_repeat="submit_again", prompt_id="p", node_id="7")
    chain.run(order)
    [submitted] = asyncio.run(chain.submit(replace(order, connection=chain.connections["ppio"])))
    assert submitted.note == "already submitted at Novita AI in this run; queue again to make another"
    assert other_service.posts() == []
