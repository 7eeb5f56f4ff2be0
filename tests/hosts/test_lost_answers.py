"""A lost answer finds its task at the hosts that list their tasks, and never takes another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from nodes.core.errors import OutcomeUnknownError, TaskFailedError
from nodes.runner.lost_answers import ANSWER_SECONDS, CLOCK_SECONDS, Looks
from tests.hosts.fixtures import STAND_INS, host
from tests.hosts.pack import Pack, pack
from tests.hosts.stand_in import StandIn, Task
from tests.runner.conftest import soon
from tests.service import at

__all__ = ["host", "pack"]

LISTS = ("dashscope", "fal", "replicate")
"""The hosts that list past tasks."""
BODY = {"prompt": "waves", "image_url": "https://x.test/a.png", "duration": 2, "resolution": "720P", "seed": 1}
"""What the order of a house sends."""


@pytest.fixture(scope="module", params=LISTS)
def running(request: pytest.FixtureRequest) -> Iterator[StandIn]:
    with STAND_INS[request.param]() as stand_in:
        yield stand_in


def lose(pack: Pack, host: StandIn, *, seed: int = 1, **fields: Any) -> str:
    """Lose the answer to a request; return the error."""
    host.faults(*at("submit", "lost_answer"))
    with pytest.raises(OutcomeUnknownError) as caught:
        pack.run(pack.order(seed, **fields))
    host.faults()
    return str(caught.value)


def make(host: StandIn, **fields: Any) -> Task:
    """Make a task as another machine with the same account does."""
    names = {ours: theirs for theirs, ours in host.names.items()}
    inputs = {**BODY, **fields}
    if host.resolutions[0] == "720p":
        inputs["resolution"] = inputs["resolution"].lower()
    flat = {names[name]: value for name, value in inputs.items()}
    body = {"input": flat} if host.name == "replicate" else flat
    return host.make(flat, body)


def end(host: StandIn) -> None:
    """Let all tasks come to their end."""
    for task in host.tasks.values():
        while host.look(task) not in ("done", "failed", "canceled"):
            pass


def test_lost_answer_finds_its_task(pack: Pack, host: StandIn) -> None:
    host.faults(*at("submit", "lost_answer"))
    [finished] = pack.run()
    assert finished.path.read_bytes() == host.video(host.task().id)
    assert host.count["submit"] == 1
    assert pack.states() == ["saved"]
    pack.run()
    assert host.count["submit"] == 1


def test_lost_answer_of_uploaded_media_finds_its_task(pack: Pack, host: StandIn) -> None:
    host.faults(*at("submit", "lost_answer"))
    asyncio.run(pack.video("image_url"))
    assert host.count["submit"] == 1
    assert pack.states() == ["saved"]


def test_lost_answer_that_made_no_task_stays_unknown(pack: Pack, host: StandIn) -> None:
    host.faults(*at("submit", "server_error"))
    with pytest.raises(OutcomeUnknownError, match="list of tasks does not have it so far"):
        pack.run()
    host.faults()
    with pytest.raises(OutcomeUnknownError, match="list of tasks does not have it so far"):
        pack.run()
    assert host.count["submit"] == 1
    assert pack.states() == ["unknown"]


def test_lost_answer_finds_a_task_that_the_list_lacked_at_first(pack: Pack, host: StandIn) -> None:
    pack.runner.close(1.0)
    pack.start(looks=Looks((0.01,), (0.1,) * 200))
    host.hold = "running"
    host.faults(*at("submit", "lost_answer"))
    if host.name == "replicate":  # its list has every task at once
        host.hold = ""
        pack.run()
    else:
        with pytest.raises(OutcomeUnknownError):
            pack.run()
        host.hold = ""
        asyncio.run(soon(lambda: pack.states() == ["saved"]))
    assert host.count["submit"] == 1


def test_lost_answer_is_found_after_a_restart(pack: Pack, host: StandIn) -> None:
    pack.runner.close(1.0)
    pack.start(looks=Looks((), ()))
    lose(pack, host)
    pack.stop()
    end(host)
    pack.start().resume_unfinished()
    asyncio.run(soon(lambda: pack.states() == ["saved"]))
    assert host.count["submit"] == 1


def test_lost_answer_is_found_when_the_request_is_queued_again(pack: Pack, host: StandIn) -> None:
    pack.runner.close(1.0)
    pack.start(looks=Looks((), ()))
    lose(pack, host)
    end(host)
    [finished] = pack.run()
    assert finished.path.read_bytes() == host.video(host.task().id)
    assert host.count["submit"] == 1


def test_lost_answer_is_looked_for_further_after_the_request_was_queued_again(pack: Pack, host: StandIn) -> None:
    if host.name == "replicate":
        return  # its list has every task at once
    pack.runner.close(1.0)
    pack.start(looks=Looks((), ()))
    lose(pack, host)
    pack.stop()
    pack.start(looks=Looks((), (0.1,) * 200))
    host.hold = "running"
    with pytest.raises(OutcomeUnknownError):
        pack.run()
    host.hold = ""
    asyncio.run(soon(lambda: pack.states() == ["saved"]))
    assert host.count["submit"] == 1


def test_lost_answers_of_a_batch_find_their_own_tasks(pack: Pack, host: StandIn) -> None:
    host.faults({"at": "submit", "kind": "lost_answer", "count": 2})
    orders = [pack.order(seed, prompt=f"shot {seed}") for seed in range(4)]
    found = pack.run(*orders)
    for order, finished in zip(orders, found, strict=True):
        task = host.tasks[finished.info["task_id"]]
        assert task.inputs["prompt"] == order.request.prompt
    assert host.count["submit"] == 4


def test_lost_answer_with_two_equal_tasks_names_both(pack: Pack, host: StandIn) -> None:
    pack.runner.close(1.0)
    pack.start(looks=Looks((), ()))
    other = make(host)
    lose(pack, host)
    end(host)
    with pytest.raises(OutcomeUnknownError, match="These tasks") as caught:
        pack.run()
    assert all(task_id in str(caught.value) for task_id in (other.id, host.accepted()[1]))
    assert pack.states() == ["unknown"]
    assert host.count["submit"] == 1


@pytest.mark.parametrize(
    "fields",
    [{"seed": 2}, {"image_url": "https://x.test/b.png"}, {"duration": 3}, {"resolution": "1080P"}, {"prompt": "hills"}],
    ids=lambda fields: next(iter(fields)),
)
def test_lost_answer_never_takes_the_task_of_another_request(pack: Pack, host: StandIn, fields: dict[str, Any]) -> None:
    if host.name == "dashscope" and "prompt" not in fields:
        return  # its list has no inputs, only the prompt can be compared
    other = make(host, **fields)
    end(host)
    host.faults(*at("submit", "server_error"))
    with pytest.raises(OutcomeUnknownError) as caught:
        pack.run()
    assert other.id not in str(caught.value)
    assert pack.states() == ["unknown"]


@pytest.mark.parametrize(
    "seconds", [-CLOCK_SECONDS - 60, ANSWER_SECONDS + CLOCK_SECONDS + 60], ids=["long before", "long after"]
)
def test_lost_answer_never_takes_a_task_of_another_time(pack: Pack, host: StandIn, seconds: float) -> None:
    other = make(host)
    other.made_at += seconds
    end(host)
    host.faults(*at("submit", "server_error"))
    with pytest.raises(OutcomeUnknownError) as caught:
        pack.run()
    assert other.id not in str(caught.value)
    assert pack.states() == ["unknown"]


def test_lost_answer_never_takes_the_task_of_another_row(pack: Pack, host: StandIn) -> None:
    [known] = pack.run(pack.order(1, on_repeat="submit_again"))
    host.faults(*at("submit", "server_error"))
    with pytest.raises(OutcomeUnknownError) as caught:
        pack.run(pack.order(1, on_repeat="submit_again"))
    assert known.info["task_id"] not in str(caught.value)
    assert pack.states() == ["saved", "unknown"]


def test_lost_answer_never_takes_a_task_that_may_be_of_another_open_row(pack: Pack, host: StandIn) -> None:
    host.faults({"at": "submit", "kind": "server_error"})
    with pytest.raises(OutcomeUnknownError):
        pack.run(pack.order(1, on_repeat="submit_again"))
    host.faults(*at("submit", "lost_answer"))
    with pytest.raises(OutcomeUnknownError, match="could be it") as caught:
        pack.run(pack.order(1, on_repeat="submit_again"))
    assert host.task().id in str(caught.value)
    assert pack.states() == ["unknown", "unknown"]


def test_lost_answer_leaves_a_task_to_an_equal_request_that_is_on_its_way(pack: Pack, host: StandIn) -> None:
    """Another process has sent the same request, and the list has its task before the ledger has its answer."""
    order = pack.order(on_repeat="submit_again", prompt_id="p", node_id="7")
    host.faults(*at("submit", "server_error"))
    with pytest.raises(OutcomeUnknownError):
        pack.run(order)
    other = pack.ledger()
    [lost] = other.unknown(3600)
    wanted = replace(lost, id=0, state="intent", post_started_at=None, reason="", node_id="8")
    [(theirs, _)] = other.claim([wanted], reuse=[False], budget=None)
    other.begin_post(theirs.id)
    task = make(host)
    end(host)
    for _ in range(2):
        with pytest.raises(OutcomeUnknownError):
            pack.run(order)
        assert other.get(lost.id).state == "unknown"
        if other.get(theirs.id).task_id is None:
            other.record_task(theirs.id, task.id)
    assert other.get(theirs.id).task_id == task.id
    other.close()


def test_lost_answer_of_a_failed_task_is_told(pack: Pack, host: StandIn) -> None:
    """The task is found, so its failure is known, and queueing again makes another."""
    if host.name == "dashscope":
        return  # a failed task does not repeat its prompt
    host.faults(*at("submit", "lost_answer"), *at("task", "fail", reason="DataInspectionFailed: no"))
    with pytest.raises(TaskFailedError, match="DataInspectionFailed"):
        pack.run()
    assert pack.states() == ["failed"]


def test_lost_answer_with_a_list_that_cannot_be_read_stays_unknown(pack: Pack, host: StandIn) -> None:
    host.faults(*at("submit", "lost_answer"))
    host.hold = "running"

    async def graph() -> None:
        making = asyncio.ensure_future(pack.make())
        await soon(host.arrived.is_set)
        key, host.key = host.key, "another-key"
        with pytest.raises(OutcomeUnknownError, match="may have been accepted and billed"):
            await making
        host.key = key

    asyncio.run(graph())
    assert pack.states() == ["unknown"]
    host.hold = ""
    asyncio.run(soon(lambda: pack.states() == ["saved"]))
    assert host.count["submit"] == 1
