"""Work that would block the event loop, done in a thread, with interrupt, progress bar and text notes.

ComfyUI runs the async nodes of a prompt on one event loop. A node that encodes or decodes on it holds up
every other node and the interrupt button, so the three media nodes hand their work to a thread through
`in_thread`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between two looks at the interrupt flag. The thread itself looks between two frames, so an
#: interrupt is honoured in about this time plus that of one frame.
POLL_SECONDS = 0.1
#: Seconds the thread gets to end by itself after an interrupt, so that its memory is free when the node
#: raises.
GRACE_SECONDS = 0.3


class Job:
    """What the thread sees of the node: may it go on, and how far it is. Safe to call from any thread."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._progress: tuple[int, int] | None = None

    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        self._cancelled.set()

    def progress(self, done: int, total: int) -> None:
        """Say how far the work is. Only the latest figure is shown: cheap enough for every frame."""
        self._progress = (done, total)

    def take_progress(self) -> tuple[int, int] | None:
        latest, self._progress = self._progress, None
        return latest


async def in_thread(work: Callable[..., T], *args: Any, node_id: str | None = None, **kwargs: Any) -> T:
    """Call `work(job, *args, **kwargs)` in a thread and give back what it returns.

    `work` polls `job.cancelled()` and calls `job.progress(done, total)`; how it ends after it was cancelled
    does not matter. Raises ComfyUI's InterruptProcessingException after an interrupt, and what `work` raised
    otherwise. `node_id` (by default that of the executing node) is where the progress bar is shown.
    """
    job = Job()
    task = asyncio.ensure_future(asyncio.to_thread(work, job, *args, **kwargs))
    node_id = node_id or executing_node_id()
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=POLL_SECONDS)
            if interrupted():
                job.cancel()
                await asyncio.wait({task}, timeout=GRACE_SECONDS)
                _forget(task)
                raise _interrupt()
            if (latest := job.take_progress()) is not None:
                await show_progress(*latest, node_id=node_id)
    except asyncio.CancelledError:
        # A node beside this one failed or was interrupted, and ComfyUI ends the loop.
        job.cancel()
        _forget(task)
        raise
    return task.result()


async def until_interrupted(
    work: Awaitable[T],
    *,
    every: Callable[[], Awaitable[None]] | None = None,
    on_interrupt: Callable[[], None] | None = None,
) -> T:
    """Await `work`, but stop waiting when the user interrupts. `every` is awaited a few times a second; `on_interrupt`
    is called once, for what the user should know then.

    Only the waiting ends: whatever goes on behind `work` in other threads is left alone. Raises ComfyUI's
    InterruptProcessingException after an interrupt, and what `work` raised otherwise.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=2 * POLL_SECONDS)
            if interrupted():
                if on_interrupt is not None:
                    on_interrupt()
                raise _interrupt()
            if every is not None:
                await every()
    finally:
        if not task.done():
            task.cancel()
            _forget(task)
    return task.result()


def interrupted() -> bool:
    """Whether the user pressed the interrupt button. Leaves the flag for the other nodes."""
    try:
        from comfy.model_management import processing_interrupted
    except ImportError:
        return False
    return bool(processing_interrupted())


def executing_node_id() -> str | None:
    """The id of the node that runs in this task, or None outside ComfyUI."""
    try:
        from comfy_execution.utils import get_executing_context
    except ImportError:
        return None
    context = get_executing_context()
    return None if context is None else context.node_id


def executing_prompt_id() -> str:
    """The id of the prompt that runs in this task, "" outside ComfyUI."""
    try:
        from comfy_execution.utils import get_executing_context
    except ImportError:
        return ""
    context = get_executing_context()
    return "" if context is None else str(context.prompt_id)


async def show_progress(done: float, total: float, *, node_id: str | None) -> None:
    """Move the node's progress bar to `done` of `total`. Does nothing outside ComfyUI or without a node."""
    if node_id is None:
        return
    try:
        from comfy_api.latest import ComfyAPI
    except ImportError:
        return
    try:
        api = ComfyAPI()
        # Declared on every core, but 0.3.75 sets the attribute only where its synchronous twin was made before.
        execution = getattr(api, "execution", None) or api.Execution()
        await execution.set_progress(done, max(total, 1), node_id=node_id)
    except Exception:  # a bar that cannot be drawn must not cost the result
        log.debug("The progress bar could not be moved.", exc_info=True)


def show_text(text: str, *, node_id: str | None = None) -> None:
    """Write `text` on the node. Does nothing outside ComfyUI or on a core that has no such text."""
    node_id = node_id or executing_node_id()
    if node_id is None:
        return
    with contextlib.suppress(ImportError):
        from server import PromptServer

        send_text = getattr(getattr(PromptServer, "instance", None), "send_progress_text", None)
        if send_text is not None:
            send_text(text, node_id)


def _interrupt() -> BaseException:
    from comfy.model_management import InterruptProcessingException

    return InterruptProcessingException()


def _forget(task: asyncio.Future[Any]) -> None:
    """Read the task's outcome when it ends, so that asyncio does not log it as lost."""

    def read(done: asyncio.Future[Any]) -> None:
        if not done.cancelled():
            done.exception()

    task.add_done_callback(read)
