from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from nodes.panel.events import PROGRESS_EVENT, TASKS_EVENT, Announcer
from nodes.panel.views import progress_view
from nodes.runner.models import Progress


class Browsers:
    """Everybody who is told, and a way to wait until they were."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.fail = False

    def announce(self, event: str, data: dict[str, Any]) -> None:
        if self.fail:
            self.fail = False
            raise RuntimeError("nobody listens")
        self.heard.append((event, data))

    def announcer(self) -> Announcer:
        return Announcer(self.announce, lambda ids: {"tasks": sorted(ids)}, progress_view, asyncio.get_running_loop())

    async def until(self, count: int) -> None:
        async def enough() -> None:
            while len(self.heard) < count:
                await asyncio.sleep(0.01)

        await asyncio.wait_for(enough(), 10)


@pytest.fixture
def browsers() -> Browsers:
    return Browsers()


def test_a_burst_of_changes_from_threads_is_one_message_of_each_kind(browsers: Browsers) -> None:
    async def act() -> Announcer:
        announcer = browsers.announcer()

        def work(number: int) -> None:
            announcer.rows_changed(frozenset({number}))
            announcer.progressed("a", Progress("processing", number))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        announcer.progressed("a", Progress("downloading", 99.0, downloaded_bytes=5))
        await browsers.until(2)
        return announcer

    announcer = asyncio.run(act())

    (progress, told), (tasks, rows) = browsers.heard
    assert (progress, tasks) == (PROGRESS_EVENT, TASKS_EVENT)
    assert rows == {"tasks": list(range(20))}
    assert told["progress"]["a"]["state"] == "downloading"
    latest = announcer.latest("a")
    assert latest is not None
    assert latest.seconds == 99.0
    assert announcer.latest("another") is None


def test_later_changes_are_told_even_after_trouble(browsers: Browsers) -> None:
    async def act() -> None:
        announcer = browsers.announcer()
        browsers.fail = True
        announcer.rows_changed(frozenset({1}))
        while browsers.fail:
            await asyncio.sleep(0.01)
        announcer.rows_changed(frozenset({2}))
        await browsers.until(1)

    asyncio.run(act())

    assert browsers.heard == [(TASKS_EVENT, {"tasks": [2]})]


def test_a_loop_that_ended_disturbs_nobody(browsers: Browsers) -> None:
    async def make() -> Announcer:
        return browsers.announcer()

    announcer = asyncio.run(make())

    announcer.rows_changed(frozenset({1}))
    announcer.progressed("a", Progress("queued", 0.0))

    assert browsers.heard == []
