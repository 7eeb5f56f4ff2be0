from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from nodes.runner.event_loop import BackgroundLoop, in_thread, outcome_of


@pytest.fixture
def background() -> Iterator[BackgroundLoop]:
    made = BackgroundLoop("test-loop")
    yield made
    made.stop(5)


async def where() -> tuple[str, bool]:
    thread = threading.current_thread()
    return thread.name, thread.daemon


def test_it_runs_in_a_daemon_thread_of_its_own(background: BackgroundLoop) -> None:
    assert not background.started
    assert background.call(where()).result(5) == ("test-loop", True)


def test_blocking_work_runs_in_daemon_threads_too(background: BackgroundLoop) -> None:
    async def work() -> bool:
        return await in_thread(lambda: threading.current_thread().daemon)

    assert background.call(work()).result(5)


def test_an_error_in_blocking_work_comes_back(background: BackgroundLoop) -> None:
    async def work() -> None:
        await in_thread(int, "no number")

    with pytest.raises(ValueError, match="no number"):
        background.call(work()).result(5)


def test_cancelling_who_asked_cancels_nothing_there(background: BackgroundLoop) -> None:
    go, done = threading.Event(), threading.Event()

    async def work() -> None:
        await in_thread(go.wait)
        done.set()

    async def ask() -> None:
        await outcome_of(background.call(work()))

    async def main() -> None:
        task = asyncio.ensure_future(ask())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())  # and the loop that asked is gone
    go.set()
    assert done.wait(5)


def test_a_timeout_cancels_nothing_there() -> None:
    future: Future[int] = Future()

    async def main() -> int:
        with pytest.raises(asyncio.TimeoutError):
            await outcome_of(future, 0.01)
        future.set_result(3)
        return await outcome_of(future, 5)

    assert asyncio.run(main()) == 3


def test_after_the_end(background: BackgroundLoop) -> None:
    background.call(where()).result(5)
    background.stop(5)
    background.post(print)
    with pytest.raises(RuntimeError, match="shutting down"):
        background.call(where())
