"""Threads for heavy work. Daemons, unlike those of concurrent.futures: ComfyUI ends at once on Ctrl-C."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_Work = tuple[Callable[[], object], asyncio.AbstractEventLoop, "asyncio.Future[object]"]


class Pool:
    """A few threads that take work in the order it came.

    asyncio's own threads are no choice even for small work: they cannot be had any more once the interpreter ends.
    """

    def __init__(self, workers: int, *, name: str) -> None:
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"wan27-sandbox-{name}-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def cancelled(self) -> bool:
        """Whether the pool is being closed; long work asks now and then."""
        return self._stopping.is_set()

    async def run(self, work: Callable[[], T]) -> T:
        """Do `work` in one of the threads; raises what it raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[object] = loop.create_future()
        self._queue.put((work, loop, future))
        return await future  # type: ignore[return-value]

    def close(self, timeout: float) -> None:
        """Let the work in hand stop; what is still queued is not begun."""
        self._stopping.set()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(timeout)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None and not self._stopping.is_set():
            work, loop, future = item
            result: object = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as caught:
                error = caught
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, future, result, error)


def _settle(future: asyncio.Future[object], result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
