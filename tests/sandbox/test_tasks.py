from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nodes.sandbox.tasks import result_key
from tests.media_files import flat
from tests.service.client import Client


def test_a_restart_knows_its_tasks_and_gives_fresh_urls(run: Callable[..., Client]) -> None:
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
    # the old URL of an upload still names the file, though nothing listens at its port any more
    assert second.video_url({"image_url": url})


def test_what_was_unfinished_goes_on_after_a_restart(run: Callable[..., Client]) -> None:
    first = run(task_seconds=1.0)
    body = {"image_url": first.upload("a.png", flat(320, 240)), "seed": 3}
    waiting = first.submit(body)
    first.fault("task", "slow", seconds=1000)
    slow = first.submit(body)
    first.service.stop()
    second = run()
    assert second.finished(waiting)["task"]["status"] == "TASK_STATUS_SUCCEED"
    assert second.result(slow)["task"]["status"] == "TASK_STATUS_PROCESSING"


def test_two_sandboxes_share_a_directory(run: Callable[..., Client]) -> None:
    one, two = run(), run()
    url = one.upload("a.png", flat(320, 240))
    mine, yours = one.submit({"image_url": url, "seed": 1}), two.submit({"image_url": url, "seed": 2})
    for client in (one, two):
        for task_id in (mine, yours):
            result = client.finished(task_id)
            assert client.download(result["videos"][0]["video_url"]).status_code == 200
            assert result["videos"][0]["video_url"].startswith(client.base_url)
    assert {task["task_id"] for task in one.service.store.tasks()} == {mine, yours}


def test_a_task_left_behind_is_taken_over_by_a_running_sandbox(run: Callable[..., Client]) -> None:
    one, two = run(task_seconds=0.8), run()
    task_id = one.submit({"image_url": one.upload("a.png", flat(320, 240))})
    one.service.stop()
    assert two.finished(task_id)["task"]["status"] == "TASK_STATUS_SUCCEED"


def test_stopping_in_the_middle_of_a_video_is_quick_and_loses_nothing(run: Callable[..., Client]) -> None:
    first = run(fps=30)
    body = {"image_url": first.upload("a.png", flat(1600, 900)), "resolution": "1080P", "duration": 15}
    task_id = first.submit(body)
    begin = time.monotonic()
    first.service.stop()
    assert time.monotonic() - begin < 5
    state = Path(first.service.state)
    assert list((state / "results").iterdir()) == []
    second = run(fps=30)
    assert second.result(task_id)["task"]["status"] == "TASK_STATUS_PROCESSING"


@pytest.mark.parametrize(
    "change",
    [{"seed": 2}, {"fps": 25}, {"request": {"prompt": "b"}}, {"media": {"image_url": "y"}}],
)
def test_everything_a_video_depends_on_is_in_its_key(change: dict[str, object]) -> None:
    task = {"request": {"prompt": "a"}, "media": {"image_url": "x"}, "seed": 1, "fps": 30}
    assert result_key(task) == result_key({**task, "task_id": "other", "urls": {}})
    assert result_key(task) != result_key({**task, **change})
