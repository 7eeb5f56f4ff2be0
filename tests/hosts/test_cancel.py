"""Cancelling a task that has not started, at the hosts that allow it, and what it means for the budget."""

from __future__ import annotations

import asyncio

import pytest

from nodes.core.errors import RequestError, TaskFailedError
from nodes.runner.models import Progress
from tests.hosts.fixtures import host, running
from tests.hosts.pack import Pack, pack
from tests.hosts.stand_in import StandIn
from tests.runner.conftest import soon

__all__ = ["host", "pack", "running"]

FREE = ("dashscope", "fal")
"""The hosts that cancel only what they have not billed."""
BILLS = ("replicate",)


async def started(pack: Pack, state: str, *, can_cancel: bool) -> asyncio.Task[object]:
    """Submit a request, and return the wait for its task once the host says that it is in a state."""
    seen: list[Progress] = []
    [submitted] = await pack.submit()
    waiting = asyncio.ensure_future(pack.wait(submitted.task_id, seen.append))
    await soon(lambda: any(progress.state == state for progress in seen))
    assert {progress.can_cancel for progress in seen if progress.state == state} == {can_cancel}
    return waiting


async def cancel(pack: Pack) -> None:
    await pack.runner.cancel(pack.record(), connection=pack.connection)


def test_cancel_ends_a_task_that_has_not_started(pack: Pack, host: StandIn) -> None:
    async def graph() -> None:
        host.hold = "queued"
        waiting = await started(pack, "queued", can_cancel=host.name in FREE + BILLS)
        if host.name not in FREE + BILLS:
            with pytest.raises(RequestError, match="cannot cancel a task"):
                await cancel(pack)
            host.hold = ""
            await waiting
            return
        await cancel(pack)
        with pytest.raises(TaskFailedError, match="costs nothing" if host.name in FREE else "may bill it all the same"):
            await waiting

    asyncio.run(graph())
    assert pack.states() == (["failed"] if host.name in FREE + BILLS else ["saved"])
    assert (pack.ledger().spent()[1] == 0) == (host.name in FREE)
    assert host.count["cancel"] == (host.name in FREE + BILLS)


def test_cancel_comes_too_late_for_a_task_that_runs(pack: Pack, host: StandIn) -> None:
    if host.name not in FREE + BILLS:
        return

    async def graph() -> None:
        host.hold = "running"
        waiting = await started(pack, "processing", can_cancel=False)
        with pytest.raises(RequestError, match="too late to cancel"):
            await cancel(pack)
        host.hold = ""
        await waiting

    asyncio.run(graph())
    assert host.count["cancel"] == 0
    assert pack.states() == ["saved"]


def test_canceled_request_is_submitted_again_when_it_is_queued(pack: Pack, host: StandIn) -> None:
    if host.name not in FREE + BILLS:
        return

    async def graph() -> None:
        host.hold = "queued"
        waiting = await started(pack, "queued", can_cancel=True)
        await cancel(pack)
        with pytest.raises(TaskFailedError):
            await waiting

    asyncio.run(graph())
    host.hold = ""
    pack.run()
    assert pack.states() == ["failed", "saved"]
    assert host.count["submit"] == 2
