from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from nodes.core.event_loop import BackgroundLoop, result_of


@pytest.fixture
def background() -> Iterator[BackgroundLoop]:
    made = BackgroundLoop("test-loop")
    yield made
    made.stop(5)


def is_running() -> bool:
    return "test-loop" in (thread.name for thread in threading.enumerate())


async def current_thread() -> tuple[str, bool]:
    thread = threading.current_thread()
    return thread.name, thread.daemon


def test_background_loop_runs_in_its_own_daemon_thread(background: BackgroundLoop) -> None:
    assert not background.started
    assert not is_running()
    assert background.call(current_thread()).result(60) == ("test-loop", True)
    assert is_running()


def test_background_loop_does_blocking_work_in_daemon_threads(background: BackgroundLoop) -> None:
    async def work() -> bool:
        return await asyncio.to_thread(lambda: threading.current_thread().daemon)

    assert background.call(work()).result(60)


def test_background_loop_raises_the_error_of_blocking_work(background: BackgroundLoop) -> None:
    async def work() -> None:
        await asyncio.to_thread(int, "no number")

    with pytest.raises(ValueError, match="no number"):
        background.call(work()).result(60)


def test_result_of_cancelled_leaves_the_work_running(background: BackgroundLoop) -> None:
    go, done = threading.Event(), threading.Event()

    async def work() -> None:
        await asyncio.to_thread(go.wait)
        done.set()

    async def ask() -> None:
        await result_of(background.call(work()))

    async def main() -> None:
        task = asyncio.ensure_future(ask())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())  # and the loop that asked is closed
    go.set()
    assert done.wait(60)


def test_result_of_timed_out_leaves_the_future_pending() -> None:
    future: Future[int] = Future()

    async def main() -> int:
        with pytest.raises(asyncio.TimeoutError):
            await result_of(future, 0.01)
        future.set_result(3)
        return await result_of(future, 5)

    assert asyncio.run(main()) == 3


def test_background_loop_stopped_refuses_calls(background: BackgroundLoop) -> None:
    background.call(current_thread()).result(60)
    background.stop(5)
    assert not is_running()
    with pytest.raises(RuntimeError, match="stopped"):
        background.call(current_thread())
