"""One thread with one event loop, and the way to it from any other loop.

ComfyUI runs every prompt in a new event loop and cancels what is pending when a node fails. What must not be cancelled
lives here instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from ..storage.http_upload import hush

T = TypeVar("T")


class _NoUrls(logging.Filter):
    """httpx logs each URL it asks for, and httpcore the headers of redirects; those of results are signed, and let a
    reader of the log in."""

    def __init__(self, thread_name: str) -> None:
        super().__init__()
        self._thread_name = thread_name

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter."""
        return record.threadName != self._thread_name


class BackgroundLoop:
    """The thread and its loop. Made at the first call; a daemon, so that it never keeps a process alive."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._mutex = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def started(self) -> bool:
        """Whether there is a thread."""
        return self._loop is not None

    def call(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop; from any thread.

        Raises:
            RuntimeError: the loop was stopped.
        """
        try:
            loop = self._running()
        except RuntimeError:
            coroutine.close()
            raise
        return asyncio.run_coroutine_threadsafe(coroutine, loop)

    def post(self, function: Callable[..., object], *args: object) -> None:
        """Call a function on the loop soon; from any thread. Does nothing after the end."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function, *args)

    def stop(self, timeout: float) -> None:
        """End loop and thread; waits for at most `timeout` seconds."""
        with self._mutex:
            self._closed = True
            loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._mutex:
            if self._closed:
                raise RuntimeError("ComfyUI is shutting down")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._loop.set_default_executor(_DaemonThreads())
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                hush(_NoUrls(self._name))
                self._thread.start()
            return self._loop

    def _run(self) -> None:
        loop = self._loop
        if loop is None:
            return
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
    """A thread for each call, and none that the interpreter waits for: a hanging name lookup must not hang Ctrl-C."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """See Executor.submit."""
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=work, daemon=True, name="wan27-work").start()
        return future


async def outcome_of(future: Future[T], timeout_seconds: float | None = None) -> T:
    """Await what happens on another loop. Cancelling the await, or its timeout, never touches what happens there.

    Raises:
        asyncio.TimeoutError: nothing came in time.
    """
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def ended(_: Future[T]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop of the prompt is gone: nobody waits any more
            loop.call_soon_threadsafe(wake)

    future.add_done_callback(ended)
    await asyncio.wait({waiter}, timeout=timeout_seconds)
    if not waiter.done():
        raise asyncio.TimeoutError
    return future.result()


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Blocking work in a thread, so that a slow disk holds nobody else up."""
    return await asyncio.get_running_loop().run_in_executor(None, lambda: function(*args))
