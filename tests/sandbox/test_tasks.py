from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nodes.sandbox import SandboxOptions
from nodes.sandbox.store import Store
from nodes.sandbox.tasks import Tasks, result_key
from tests.media_files import flat
from tests.service.client import Client


def test_tasks_survive_a_restart_and_get_new_urls(run: Callable[..., Client]) -> None:
    first = run()
    url = first.upload("a.png", flat(320, 240))
    task_id = first.submit({"image_url": url, "seed": 3})
    before = first.finished(task_id)
    video = first.download(before["videos"][0]["video_url"]).content
    first.service.stop()
    second = run()
    assert second.base_url != first.base_url
    after = second.result(task_id)
    assert after["task"] == before["task"]
    assert after["extra"] == before["extra"]
    assert after["videos"][0]["video_url"].startswith(second.base_url)
    assert second.download(after["videos"][0]["video_url"]).content == video
    assert [task["task_id"] for task in second.service.store.tasks()] == [task_id]
    # the old URL of an upload still leads to its file, although nothing listens on its port any more
    assert second.video_url({"image_url": url})


def test_unfinished_tasks_continue_after_a_restart(run: Callable[..., Client]) -> None:
    first = run(task_seconds=1.0)
    body = {"image_url": first.upload("a.png", flat(320, 240)), "seed": 3}
    waiting = first.submit(body)
    first.fault("task", "slow", seconds=1000)
    slow = first.submit(body)
    first.service.stop()
    second = run()
    assert second.finished(waiting)["task"]["status"] == "TASK_STATUS_SUCCEED"
    assert second.result(slow)["task"]["status"] == "TASK_STATUS_PROCESSING"


def test_tasks_are_shared_by_two_sandboxes_of_a_directory(run: Callable[..., Client]) -> None:
    one, two = run(), run()
    url = one.upload("a.png", flat(320, 240))
    mine, yours = one.submit({"image_url": url, "seed": 1}), two.submit({"image_url": url, "seed": 2})
    for client in (one, two):
        for task_id in (mine, yours):
            result = client.finished(task_id)
            assert client.download(result["videos"][0]["video_url"]).status_code == 200
            assert result["videos"][0]["video_url"].startswith(client.base_url)
    assert {task["task_id"] for task in one.service.store.tasks()} == {mine, yours}


def test_abandoned_task_is_taken_over_by_a_running_sandbox(run: Callable[..., Client]) -> None:
    one, two = run(task_seconds=0.8), run()
    task_id = one.submit({"image_url": one.upload("a.png", flat(320, 240))})
    one.service.stop()
    assert two.finished(task_id)["task"]["status"] == "TASK_STATUS_SUCCEED"


def test_stop_while_rendering_loses_nothing(run: Callable[..., Client]) -> None:
    first = run(fps=30)
    body = {"image_url": first.upload("a.png", flat(1600, 900)), "resolution": "1080P", "duration": 15}
    task_id = first.submit(body)
    first.service.stop()
    state = Path(first.service.state)
    assert list((state / "results").iterdir()) == []
    second = run(fps=30)
    assert second.result(task_id)["task"]["status"] == "TASK_STATUS_PROCESSING"


def test_run_uses_as_many_threads_as_there_are_workers(tmp_path: Path) -> None:
    active, most = 0, 0
    lock, meet = threading.Lock(), threading.Barrier(2, timeout=60)

    def work(number: int) -> int:
        nonlocal active, most
        with lock:
            active += 1
            most = max(most, active)
        meet.wait()
        with lock:
            active -= 1
        return number

    async def use() -> list[int]:
        tasks = Tasks(Store(tmp_path), SandboxOptions(workers=2))
        with pytest.raises(ZeroDivisionError):
            await tasks.run(lambda: 1 // 0)
        return await asyncio.gather(*(tasks.run(lambda n=n: work(n)) for n in range(6)))

    assert asyncio.run(use()) == list(range(6))
    assert most == 2


def test_close_waits_for_running_work_and_starts_no_other(tmp_path: Path) -> None:
    events: list[str] = []

    async def use() -> None:
        tasks = Tasks(Store(tmp_path), SandboxOptions(workers=1))
        inside = threading.Event()

        def work() -> None:
            events.append("started")
            inside.set()
            while not tasks.closing.is_set():
                time.sleep(0.01)
            events.append("stopped")

        waiting = [asyncio.ensure_future(tasks.run(work)) for _ in range(3)]
        await asyncio.to_thread(inside.wait, 60)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await tasks.close()

    asyncio.run(use())
    assert events == ["started", "stopped"]


@pytest.mark.parametrize(
    "change",
    [{"seed": 2}, {"fps": 25}, {"request": {"prompt": "b"}}, {"media": {"image_url": "y"}}],
)
def test_result_key_contains_everything_a_video_depends_on(change: dict[str, object]) -> None:
    task = {"request": {"prompt": "a"}, "media": {"image_url": "x"}, "seed": 1, "fps": 30}
    assert result_key(task) == result_key({**task, "task_id": "other", "urls": {}})
    assert result_key(task) != result_key({**task, **change})
