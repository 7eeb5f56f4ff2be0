from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from nodes.panel.events import PROGRESS_EVENT, TASKS_EVENT, Announcer
from nodes.runner.models import Progress


class Browsers:
    """Records the events that the browsers get, and waits for them."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.fail = False

    def send(self, event: str, data: dict[str, Any]) -> None:
        if self.fail:
            self.fail = False
            raise RuntimeError("no browser listens")
        self.events.append((event, data))

    def announcer(self) -> Announcer:
        return Announcer(self.send, lambda ids: {"tasks": sorted(ids)}, asyncio.get_running_loop())

    async def until(self, count: int) -> None:
        async def enough() -> None:
            while len(self.events) < count:
                await asyncio.sleep(0.01)

        await asyncio.wait_for(enough(), 60)


@pytest.fixture
def browsers() -> Browsers:
    return Browsers()


def test_announcer_sends_a_burst_from_threads_as_one_event_of_each_kind(browsers: Browsers) -> None:
    async def act() -> Announcer:
        announcer = browsers.announcer()

        def work(number: int) -> None:
            announcer.records_changed(frozenset({number}))
            announcer.progressed("a", Progress("processing", number))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        announcer.progressed("a", Progress("downloading", 99.0, downloaded_bytes=5))
        announcer.progressed("b", Progress("processing", 30.0, usual_seconds=(90.0, 120.04)))
        await browsers.until(2)
        return announcer

    announcer = asyncio.run(act())

    (progress, sent), (tasks, data) = browsers.events
    assert (progress, tasks) == (PROGRESS_EVENT, TASKS_EVENT)
    assert data == {"tasks": list(range(20))}
    assert sent["progress"]["a"]["state"] == "downloading"
    assert sent["progress"]["a"]["left_seconds"] is None
    assert (sent["progress"]["b"]["usual_seconds"], sent["progress"]["b"]["left_seconds"]) == ([90.0, 120.0], 60.0)
    latest = announcer.latest("a")
    assert latest is not None
    assert latest.seconds == 99.0
    assert announcer.latest("another") is None


def test_announcer_goes_on_after_a_failed_send(browsers: Browsers) -> None:
    async def act() -> None:
        announcer = browsers.announcer()
        browsers.fail = True
        announcer.records_changed(frozenset({1}))
        while browsers.fail:
            await asyncio.sleep(0.01)
        announcer.records_changed(frozenset({2}))
        await browsers.until(1)

    asyncio.run(act())

    assert browsers.events == [(TASKS_EVENT, {"tasks": [2]})]


def test_announcer_ignores_changes_after_the_loop_was_closed(browsers: Browsers) -> None:
    async def make() -> Announcer:
        return browsers.announcer()

    announcer = asyncio.run(make())

    announcer.records_changed(frozenset({1}))
    announcer.progressed("a", Progress("queued", 0.0))

    assert browsers.events == []
