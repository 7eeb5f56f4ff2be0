"""What the client asks a host beside videos: the balance, whether a key is valid, past tasks, and to cancel one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import httpx
import pytest

from nodes.api.client import ServiceClient
from nodes.api.task import PastTask, TaskHandle, TaskState
from nodes.core import errors
from tests.hosts.dashscope import BEIJING, DashScope
from tests.hosts.fal import Fal
from tests.hosts.fixtures import CANCELING, LISTING, host, only, running
from tests.hosts.pack import Pack, pack
from tests.hosts.stand_in import FRAMES, StandIn

__all__ = ["host", "pack", "running"]

T = TypeVar("T")


def ask(pack: Pack, question: Callable[[ServiceClient], Awaitable[T]], **changes: Any) -> T:
    """Ask with a client whose connection has these changes."""

    async def answer() -> T:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await question(ServiceClient(replace(pack.connection, **changes), http))

    return asyncio.run(answer())


@only("novita", "ppio", "fal", "kie")
def test_balance_is_read(pack: Pack, host: StandIn) -> None:
    balance = ask(pack, lambda client: client.balance())
    if host.name != "ppio":  # in yuan
        assert balance is not None
        assert balance.available_usd == pytest.approx(12.5)


@only("dashscope", "replicate")
def test_balance_of_a_host_that_does_not_tell_it_is_none(pack: Pack, host: StandIn) -> None:
    assert ask(pack, lambda client: client.balance()) is None
    assert host.seen == []


def test_key_check_is_free(pack: Pack, host: StandIn) -> None:
    ask(pack, lambda client: client.check_key())
    assert 1 <= len(host.seen) <= 2
    assert host.count["submit"] == 0


def test_key_check_refuses_a_wrong_key(pack: Pack, host: StandIn) -> None:
    with pytest.raises(errors.AuthenticationError, match=host.key_variable):
        ask(pack, lambda client: client.check_key(), api_key="sk-of-somebody-else-0123456789")


@only("fal")
def test_key_check_of_fal_needs_no_admin_key(pack: Pack, host: Fal) -> None:
    host.balance_needs_admin = True
    assert ask(pack, lambda client: client.check_key()) is None


# --- past tasks -----------------------------------------------------------------------------------------------------


def fill(host: StandIn, count: int, *, seconds_ago: float = 0.0) -> list[str]:
    """Let the host have made tasks of which the pack knows nothing."""
    flat = {name: FRAMES[ours] for name, ours in host.names.items() if ours in FRAMES}
    flat["resolution"] = host.resolutions[0]
    body = {"input": flat} if host.name == "replicate" else flat
    made = [host.make(flat, body) for _ in range(count)]
    for task in made:
        task.state, task.made_at, task.ended_at = "done", host.now() - seconds_ago, host.now() - seconds_ago + 1
    return [task.id for task in made]


def listed(pack: Pack, seconds: float = 300) -> list[PastTask]:
    now = time.time()
    found = ask(pack, lambda client: client.past_tasks(now - seconds, now + 60))
    assert found is not None
    return found


@only(*LISTING)
def test_list_has_every_page(pack: Pack, host: StandIn) -> None:
    made = fill(host, 230)
    assert sorted(task.handle.task_id for task in listed(pack)) == sorted(made)
    assert host.count["list"] == 3


@only(*LISTING)
def test_list_ends_before_older_tasks(pack: Pack, host: StandIn) -> None:
    fill(host, 500, seconds_ago=20 * 3600)
    made = fill(host, 2)
    assert {task.handle.task_id for task in listed(pack)} >= {*made}
    assert host.count["list"] <= 2


@only("fal", "replicate")
def test_list_has_the_inputs_in_our_names(pack: Pack, host: StandIn) -> None:
    fill(host, 1)
    [task] = listed(pack)
    assert task.inputs == {name: value for name, value in FRAMES.items() if name != "watermark"}
    assert any(abs(at - time.time()) < 60 for at in task.times)


@only("dashscope")
@pytest.mark.parametrize("times", ["text", "milliseconds"])
@pytest.mark.parametrize("zone", ["UTC", "Beijing"])
def test_list_of_dashscope_is_read_in_either_time_zone(pack: Pack, host: DashScope, zone: str, times: str) -> None:
    """The documentation names neither the zone nor the form of the times."""
    host.list_in_milliseconds = times == "milliseconds"
    if zone == "Beijing":
        host.zone = BEIJING
    [task_id] = fill(host, 1)
    [task] = listed(pack)
    assert task.handle.task_id == task_id
    assert any(abs(at - time.time()) < 60 for at in task.times)
    result = ask(pack, lambda client: client.result(task.handle))
    assert result.prompt == FRAMES["prompt"]


@only("novita", "ppio", "kie")
def test_list_of_a_host_without_one_is_none(pack: Pack, host: StandIn) -> None:
    assert ask(pack, lambda client: client.past_tasks(0, 1)) is None


# --- cancel ---------------------------------------------------------------------------------------------------------


def start(pack: Pack, host: StandIn, state: str) -> TaskHandle:
    """Return a task that stays in a state."""
    host.hold = state
    handle = ask(pack, lambda client: client.submit(pack.order().request))
    for _ in range(3):
        result = ask(pack, lambda client: client.result(handle))
    assert result.state.value == {"queued": "queued", "running": "processing"}[state]
    return handle


@only(*CANCELING)
def test_cancel_ends_a_task_that_waits(pack: Pack, host: StandIn) -> None:
    handle = start(pack, host, "queued")
    ask(pack, lambda client: client.cancel(handle))
    result = ask(pack, lambda client: client.result(handle))
    assert (result.state, result.canceled) == (TaskState.FAILED, True)
    assert host.task().state == "canceled"


@only("dashscope")
def test_cancel_of_a_running_task_is_refused(pack: Pack, host: StandIn) -> None:
    handle = start(pack, host, "running")
    with pytest.raises(errors.ServiceError, match=r"not started|not PENDING"):
        ask(pack, lambda client: client.cancel(handle))
    assert host.task().state == "running"


@only(*CANCELING)
def test_cancel_of_an_ended_task_changes_nothing(pack: Pack, host: StandIn) -> None:
    pack.run()
    handle = TaskHandle(host.task().id)
    try:
        ask(pack, lambda client: client.cancel(handle))
    except errors.ServiceError:
        assert host.name != "replicate"
    result = ask(pack, lambda client: client.result(handle))
    assert result.state is TaskState.SUCCEEDED


@only("novita", "ppio", "kie")
def test_cancel_at_a_host_without_it_sends_nothing(pack: Pack, host: StandIn) -> None:
    handle = start(pack, host, "queued")
    before = len(host.seen)
    with pytest.raises(errors.ServiceError, match="cannot cancel"):
        ask(pack, lambda client: client.cancel(handle))
    assert len(host.seen) == before
