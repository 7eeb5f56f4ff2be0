"""A thread with an event loop of its own, for work that outlives the event loop that asks for it.

ComfyUI runs every prompt in a new event loop and cancels what is pending when a node fails. What must not be cancelled
runs here instead:

    background = BackgroundLoop("wan27-runner")
    future = background.call(work())            # from any thread; starts the thread when it is first needed
    result = await result_of(future)            # from any event loop, or future.result() from a thread
    background.stop(2.0)
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class BackgroundLoop:
    """A daemon thread that runs an event loop. It starts with the first call and never keeps the process alive.

    Blocking work on the loop (`asyncio.to_thread`, name lookups) runs in daemon threads too, so that Ctrl-C ends the
    process at once. A loop that was stopped cannot be started again: create another.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._mutex = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    @property
    def started(self) -> bool:
        """Whether the thread was started."""
        return self._loop is not None

    def call(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop; any thread may call this. Raises RuntimeError if the loop was stopped."""
        try:
            loop = self._running_loop()
        except RuntimeError:
            coroutine.close()
            raise
        return asyncio.run_coroutine_threadsafe(coroutine, loop)

    def stop(self, timeout: float) -> None:
        """Cancel what is left on the loop and end the thread. Wait for at most `timeout` seconds."""
        with self._mutex:
            self._stopped = True
            loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._mutex:
            if self._stopped:
                raise RuntimeError(f"the event loop of {self._name} was stopped")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._loop.set_default_executor(_DaemonThreads())
                self._thread = threading.Thread(target=self._run, args=(self._loop,), name=self._name, daemon=True)
                self._thread.start()
            return self._loop

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left, timeout=1.0))
            loop.close()


class _DaemonThreads(ThreadPoolExecutor):
    """Runs each call in a daemon thread of its own: the interpreter does not wait for a name lookup that hangs."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:
                    future.set_exception(error)

        threading.Thread(target=work, daemon=True, name="wan27-work").start()
        return future


async def result_of(future: Future[T], timeout_seconds: float | None = None) -> T:
    """Await what runs on another loop or thread. A cancelled or timed-out await does not affect what runs there.

    Raises:
        asyncio.TimeoutError: no result in time.
    """
    loop, finished = asyncio.get_running_loop(), asyncio.Event()

    def wake(_: Future[T]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop that waited is closed
            loop.call_soon_threadsafe(finished.set)

    future.add_done_callback(wake)
    await asyncio.wait_for(finished.wait(), timeout_seconds)
    return future.result()
