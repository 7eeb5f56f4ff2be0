"""What the Wait node shows while it waits."""

from __future__ import annotations

import asyncio

import pytest

from nodes.comfy import runtime, wait_status
from nodes.comfy.wait_status import TaskStatus, WaitStatus
from nodes.runner.models import Progress


@pytest.mark.parametrize(
    ("progress", "fraction", "words"),
    [
        (None, 0.0, ["asking"]),
        (Progress("queued", 3.2), 0.0, ["queued 3 s"]),
        (Progress("processing", 40, progress_percent=50), 0.475, ["processing 40 s", "50 %"]),
        (Progress("processing", 30, progress_percent=0, eta_seconds=30), 0.475, ["about 30 s left"]),
        (Progress("processing", 40, usual_seconds=(200, 300)), 0.19, ["about 3 min left"]),
        (Progress("processing", 500, usual_seconds=(200, 300)), 0.95, ["longer than expected"]),
        (Progress("queued", 0, usual_seconds=(0.2, 0.3)), 0.0, ["queued 0 s"]),
        (Progress("downloading", 60, downloaded_bytes=5_000_000, total_bytes=10_000_000), 0.975, ["5.0 MB"]),
        (Progress("downloading", 60), 0.95, ["downloading"]),
        (Progress("waiting", 9, note="the service cannot be reached"), 0.0, ["cannot be reached"]),
    ],
)
def test_task_status_shows_state_seconds_and_what_the_service_reports(
    progress: Progress | None, fraction: float, words: list[str]
) -> None:
    task = TaskStatus("t-1", clock=lambda: 100.0)
    if progress is not None:
        task.update(progress)
    assert task.fraction == pytest.approx(fraction)
    assert [word for word in words if word not in task.text] == []


def test_task_status_of_a_saved_video_fills_the_bar() -> None:
    task = TaskStatus("t-1", done=True)
    assert (task.fraction, task.text) == (1.0, "saved")


def test_task_status_of_a_saved_video_keeps_a_note_about_the_download() -> None:
    task = TaskStatus("t-1", done=True)
    task.update(Progress("downloading", 60, note="a.mp4 was changed"))
    assert task.text == "saved, a.mp4 was changed"
    task.update(Progress("waiting", 61, note="the service cannot be reached"))
    assert task.text == "saved"


def test_task_status_counts_seconds_between_two_polls() -> None:
    now = 100.0
    task = TaskStatus("t-1", clock=lambda: now)
    task.update(Progress("processing", 10, eta_seconds=20))
    shown = [task.text]
    now = 104.5
    shown.append(task.text)
    now = 125.0
    shown.append(task.text)
    assert shown == [
        "processing 10 s, about 20 s left",
        "processing 14 s, about 16 s left",
        "processing 35 s, longer than expected",
    ]


def test_wait_status_of_one_task_has_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []
    monkeypatch.setattr(wait_status, "show_text", lambda text, *, node_id: sent.append((text, node_id)))
    task = TaskStatus("a-long-id-that-would-not-fit-on-the-node", done=True)
    asyncio.run(WaitStatus([task], node_id="7", note="SANDBOX").show())
    assert sent[0] == ("saved\nSANDBOX", "7")


def test_wait_status_sends_what_changed_and_never_moves_the_bar_back(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []

    async def show_progress(done: float, total: float, *, node_id: str | None) -> None:
        sent.append((done, total, node_id))

    monkeypatch.setattr(runtime, "show_progress", show_progress)
    monkeypatch.setattr(wait_status, "show_text", lambda text, *, node_id: sent.append((text, node_id)))
    tasks = [TaskStatus("task-of-shot-a", clock=lambda: 0.0), TaskStatus("b", done=True)]
    status = WaitStatus(tasks, node_id="7", note="SANDBOX")
    asyncio.run(status.show())
    asyncio.run(status.show())
    tasks[0].update(Progress("processing", 1, progress_percent=50))
    asyncio.run(status.show())
    tasks[0].update(Progress("processing", 2, progress_percent=40))
    asyncio.run(status.show())
    assert sent == [
        ("…shot-a: asking\n…b: saved\nSANDBOX", "7"),
        (500, 1000, "7"),
        ("…shot-a: processing 1 s, 50 %\n…b: saved\nSANDBOX", "7"),
        (738, 1000, "7"),
        ("…shot-a: processing 2 s, 40 %\n…b: saved\nSANDBOX", "7"),
    ]
