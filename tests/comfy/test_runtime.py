"""Work in a thread, the interrupt button and the progress bar."""

from __future__ import annotations

import asyncio
import sys
import threading
import types

import pytest

from nodes.comfy import runtime
from nodes.comfy.runtime import Job, graph_node_id, in_thread, until_interrupted


class Interrupted(Exception):  # noqa: N818
    """Stands in for ComfyUI's exception."""


@pytest.fixture
def button(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """ComfyUI's interrupt button: set it to press it."""
    pressed = threading.Event()
    management = types.ModuleType("comfy.model_management")
    management.processing_interrupted = pressed.is_set  # type: ignore[attr-defined]
    management.InterruptProcessingException = Interrupted  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "comfy", types.ModuleType("comfy"))
    monkeypatch.setitem(sys.modules, "comfy.model_management", management)
    return pressed


def work_until_cancelled(job: Job, started: threading.Event, ended: threading.Event) -> None:
    started.set()
    while not job.cancelled():
        threading.Event().wait(0.005)
    ended.set()


def test_in_thread_returns_the_result_from_another_thread() -> None:
    def work(job: Job, a: int, b: int) -> tuple[int, bool]:
        return a + b, threading.current_thread() is threading.main_thread()

    assert asyncio.run(in_thread(work, 1, 2)) == (3, False)


def test_in_thread_raises_the_error_of_the_work() -> None:
    def work(job: Job) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(in_thread(work))


def test_in_thread_does_not_block_the_event_loop() -> None:
    async def both() -> str:
        go = threading.Event()

        async def other() -> None:
            go.set()

        result, _ = await asyncio.gather(in_thread(lambda job: "done" if go.wait(60) else "stuck"), other())
        return result

    assert asyncio.run(both()) == "done"


def test_in_thread_ends_the_work_on_interrupt_and_leaves_the_button_for_others(button: threading.Event) -> None:
    started, ended = threading.Event(), threading.Event()

    async def press() -> None:
        await asyncio.to_thread(started.wait, 10)
        button.set()

    async def both() -> None:
        await asyncio.gather(in_thread(work_until_cancelled, started, ended), press())

    with pytest.raises(Interrupted):
        asyncio.run(both())
    assert ended.is_set()
    assert button.is_set()


def test_until_interrupted_tells_the_user_and_ends_the_wait(button: threading.Event) -> None:
    told: list[str] = []

    async def press() -> None:
        button.set()

    async def node() -> None:
        await until_interrupted(asyncio.Event().wait(), every=press, on_interrupt=lambda: told.append("goes on"))

    with pytest.raises(Interrupted):
        asyncio.run(node())
    assert told == ["goes on"]


def test_in_thread_ends_the_work_if_the_node_is_cancelled() -> None:
    started, ended = threading.Event(), threading.Event()

    async def cancel() -> None:
        node = asyncio.ensure_future(in_thread(work_until_cancelled, started, ended))
        await asyncio.to_thread(started.wait, 10)
        node.cancel()
        await node

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())
    assert ended.is_set()


def test_in_thread_shows_the_latest_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[float, float, str | None]] = []
    seen = threading.Event()

    async def show(done: float, total: float, *, node_id: str | None) -> None:
        shown.append((done, total, node_id))
        seen.set()

    def work(job: Job) -> None:
        for done in range(1, 6):
            job.progress(done, 5)
        seen.wait(60)

    monkeypatch.setattr(runtime, "show_progress", show)
    monkeypatch.setattr(runtime, "executing", lambda: ("", "7"))
    asyncio.run(in_thread(work))
    assert shown[0] == (5, 5, "7")


def test_in_thread_writes_each_step_on_the_node_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, str]] = []
    seen = threading.Semaphore(0)

    def show(text: str, *, node_id: str) -> None:
        shown.append((text, node_id))
        seen.release()

    def work(job: Job) -> None:
        for step in ("one", "one", "two"):
            job.begin(step)
        seen.acquire(timeout=60)
        job.begin("three")
        seen.acquire(timeout=60)

    monkeypatch.setattr(runtime, "show_text", show)
    monkeypatch.setattr(runtime, "executing", lambda: ("", "7"))
    asyncio.run(in_thread(work))
    assert shown == [("two", "7"), ("three", "7")]


def test_graph_node_id_of_a_node_that_a_loop_created_is_the_one_it_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert graph_node_id("5.0.0.1") == "5.0.0.1"  # outside ComfyUI
    progress = types.ModuleType("comfy_execution.progress")
    monkeypatch.setitem(sys.modules, "comfy_execution", types.ModuleType("comfy_execution"))
    monkeypatch.setitem(sys.modules, "comfy_execution.progress", progress)
    assert graph_node_id("5.0.0.1") == "5.0.0.1"  # a core without it
    graph = types.SimpleNamespace(get_display_node_id={"5.0.0.1": "5", "3": "3"}.get)
    progress.get_progress_state = lambda: types.SimpleNamespace(dynprompt=graph)  # type: ignore[attr-defined]
    assert (graph_node_id("5.0.0.1"), graph_node_id("3")) == ("5", "3")
