"""What a node asks of the ComfyUI it runs in: folders, ids, interrupt, progress bar, text, and a thread for slow work.

ComfyUI runs the async nodes of a prompt on one event loop. A node that encodes or decodes there would block all other
nodes and the interrupt button, so the media nodes run such work through `in_thread`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

POLL_SECONDS = 0.1
"""Time between two checks of the interrupt flag. Work in a thread checks between two frames: an interrupt takes effect
in about this time plus that of one frame."""
GRACE_SECONDS = 0.3
"""Time that work in a thread gets to end after an interrupt, so that its memory is free when the node raises."""

_FOLDER = "wan27"


def user_dir() -> Path:
    """Return the pack's own folder, which ComfyUI does not serve over HTTP and an update of the pack does not touch."""
    import folder_paths

    find = getattr(folder_paths, "get_system_user_directory", None)
    return Path(find(_FOLDER) if find else Path(folder_paths.get_user_directory()) / f"__{_FOLDER}")


def output_dir() -> Path:
    """Return ComfyUI's output folder; the videos are saved below it."""
    import folder_paths

    return Path(folder_paths.get_output_directory())


def temp_dir() -> Path:
    """Return ComfyUI's folder for files that only this run of ComfyUI needs."""
    import folder_paths

    path = Path(folder_paths.get_temp_directory())
    path.mkdir(parents=True, exist_ok=True)
    return path


def prompt_server() -> Any:
    """Return ComfyUI's server, or None outside ComfyUI."""
    try:
        from server import PromptServer
    except ImportError:
        return None
    return getattr(PromptServer, "instance", None)


def executing() -> tuple[str, str]:
    """Return the ids of the prompt and the node being fingerprinted or executed in this task, "" outside ComfyUI."""
    try:
        from comfy_execution.utils import get_executing_context
    except ImportError:
        return "", ""
    context = get_executing_context()
    return ("", "") if context is None else (str(context.prompt_id), context.node_id)


def graph_node_id(node_id: str) -> str:
    """Return the id that the node has in the queued graph, or that of the node whose expansion created it.

    An expansion or a loop creates nodes with new ids each time, and says for each which node it stands for.
    """
    try:
        from comfy_execution.progress import get_progress_state

        return str(get_progress_state().dynprompt.get_display_node_id(node_id))
    except (ImportError, AttributeError):
        return node_id


def interrupted() -> bool:
    """Return whether the user pressed the interrupt button. Leaves the flag for the other nodes."""
    try:
        from comfy.model_management import processing_interrupted
    except ImportError:
        return False
    return bool(processing_interrupted())


def interrupt_error() -> Exception:
    """Return ComfyUI's exception for an interrupted node."""
    from comfy.model_management import InterruptProcessingException

    error: Exception = InterruptProcessingException()
    return error


class Job:
    """The node's side of work in a thread: whether it may continue, and its progress. Usable from any thread."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self.done_of_total = (0, 0)
        """The latest progress; the total is 0 before the first report."""
        self.step = ""
        """What is being done, "" if nothing was said."""

    def cancelled(self) -> bool:
        """Return whether the work should stop."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask the work to stop."""
        self._cancelled.set()

    def progress(self, done: int, total: int) -> None:
        """Report the progress. Only the latest report is shown: cheap enough for every frame."""
        self.done_of_total = (done, total)

    def begin(self, step: str) -> None:
        """Report what is being done now. Only the latest report is shown."""
        self.step = step


async def in_thread(work: Callable[..., T], *args: Any) -> T:
    """Call `work(job, *args)` in a thread and return its result. The executing node shows the progress.

    `work` polls `job.cancelled()`, calls `job.progress(done, total)`, and may call `job.begin(step)`. How it ends after
    a cancellation does not matter.

    Raises:
        InterruptProcessingException: ComfyUI's, after an interrupt. Otherwise whatever `work` raises.
    """
    node_id = executing()[1]
    job, bar, shown = Job(), ProgressBar(node_id), ""

    async def show() -> None:
        nonlocal shown
        if job.step != shown:
            shown = job.step
            show_text(shown, node_id=node_id)
        await bar.show(*job.done_of_total)

    try:
        thread = asyncio.to_thread(work, job, *args)
        return await until_interrupted(thread, every=show, on_interrupt=job.cancel, grace_seconds=GRACE_SECONDS)
    except asyncio.CancelledError:  # another node failed or was interrupted, and ComfyUI ends the loop
        job.cancel()
        raise


async def until_interrupted(
    work: Awaitable[T],
    *,
    every: Callable[[], Awaitable[None]] | None = None,
    on_interrupt: Callable[[], None] | None = None,
    grace_seconds: float = 0.0,
) -> T:
    """Await `work`, but stop waiting when the user interrupts. What it started in other threads continues.

    Args:
        every: awaited a few times a second.
        on_interrupt: called once after an interrupt.
        grace_seconds: how long `work` may still take after that.

    Raises:
        InterruptProcessingException: ComfyUI's, after an interrupt. Otherwise whatever `work` raises.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=POLL_SECONDS)
            if interrupted():
                if on_interrupt is not None:
                    on_interrupt()
                await asyncio.wait({task}, timeout=grace_seconds)
                raise interrupt_error()
            if every is not None:
                await every()
        return task.result()
    finally:
        task.cancel()
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # or asyncio logs it as not retrieved


class ProgressBar:
    """The progress bar of a node. Sends only what changed."""

    def __init__(self, node_id: str) -> None:
        self._node_id, self._shown = node_id, (0.0, 0.0)

    async def show(self, done: float, total: float) -> None:
        """Move the bar to `done` of `total`."""
        if (done, total) != self._shown:
            self._shown = (done, total)
            await show_progress(done, total, node_id=self._node_id)


async def show_progress(done: float, total: float, *, node_id: str) -> None:
    """Move the node's progress bar to `done` of `total`. Does nothing outside ComfyUI or without a node."""
    if not node_id:
        return
    try:
        from comfy_api.latest import ComfyAPI

        api = ComfyAPI()
        # Every core declares it, but 0.3.75 sets the attribute only if its synchronous twin was created before.
        execution = getattr(api, "execution", None) or api.Execution()
        await execution.set_progress(done, max(total, 1), node_id=node_id)
    except Exception:  # a failing progress bar must not cost the result
        log.debug("The progress bar could not be moved.", exc_info=True)


def show_text(text: str, *, node_id: str) -> None:
    """Write `text` on the node. Does nothing outside ComfyUI, without a node, or if the core has no such text."""
    send_text = getattr(prompt_server(), "send_progress_text", None)
    if send_text is not None and node_id:
        send_text(text, node_id)


def report(lines: Sequence[str], *, node_id: str, level: int = logging.INFO) -> None:
    """Write lines to the log and, if there are any, on the node."""
    for line in lines:
        log.log(level, "Wan 2.7: %s", line)
    if lines:
        show_text("\n".join(lines), node_id=node_id)
