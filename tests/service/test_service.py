from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.service.client import Client
from tests.service.service import Service, mp4


def test_posts_are_listed_in_order(client: Client, image_url: str) -> None:
    accepted = client.submit({"image_url": image_url, "prompt": "x" * 1000})
    client.post({})
    client.post({"image_url": image_url}, headers={"Authorization": "Bearer bad-key"})
    posts = client.service.posts()
    assert [(entry["accepted"], entry["task_id"], entry["status"]) for entry in posts] == [
        (True, accepted, 200),
        (False, None, 400),
        (False, None, 401),
    ]
    assert [entry["time"] for entry in posts] == sorted(entry["time"] for entry in posts)
    assert len(posts[0]["fingerprint"]) == 64
    assert len(posts[0]["body"]["prompt"]) < 400
    assert "some-key" not in str(posts)
    client.service.reset()
    assert client.service.posts() == []


def test_service_refuses_connections_until_it_is_started_again(run: Callable[..., Client]) -> None:
    client = run()
    task_id = client.submit({"image_url": "http://127.0.0.1:9/a.png"})
    client.service.stop()
    with pytest.raises(httpx.ConnectError):
        client.poll(task_id)
    client.service.start()
    assert client.service.url == client.base_url
    assert client.poll(task_id).status_code == 200
    assert client.service.accepted() == [task_id]


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Client]:
    """A service that renders nothing."""
    client = Client(Service(tmp_path / "state", rendered=False).start())
    yield client
    client.close()


BODY = {"image_url": "https://x.test/a.png"}


def test_service_without_rendering_finishes_tasks_at_once(quick: Client) -> None:
    ids = [quick.service.make(**BODY) for _ in range(2)]
    assert quick.service.accepted() == ids
    for task_id in ids:
        result = quick.result(task_id)
        assert result["task"]["status"] == "TASK_STATUS_SUCCEED"
        video = quick.download(result["videos"][0]["video_url"]).content
        assert video == quick.service.video(task_id) == mp4(task_id)
    assert quick.service.video(ids[0]) != quick.service.video(ids[1])
    assert quick.service.count == {"submit": 2, "result": 2, "download": 2}
    quick.service.forget()
    assert quick.poll(ids[0]).status_code == 404


def test_gate_answer_holds_the_answer_back(quick: Client) -> None:
    quick.service.answer.clear()
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(quick.post, BODY)
        assert quick.service.arrived.wait(60)
        assert len(quick.service.accepted()) == 1
        assert not answer.done()
        quick.service.answer.set()
        assert answer.result(60).json() == {"task_id": quick.service.accepted()[0]}


def test_gate_finish_keeps_tasks_unfinished(quick: Client) -> None:
    quick.service.finish.clear()
    task_id = quick.service.make(**BODY)
    result = quick.result(task_id)
    assert (result["task"]["status"], result["videos"]) == ("TASK_STATUS_PROCESSING", [])
    quick.service.finish.set()
    assert quick.result(task_id)["task"]["status"] == "TASK_STATUS_SUCCEED"


def test_gate_serve_holds_the_second_half_of_a_video_back(quick: Client) -> None:
    task_id = quick.service.make(**BODY)
    url = quick.result(task_id)["videos"][0]["video_url"]
    quick.service.serve.clear()
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(quick.download, url)
        assert quick.service.half_sent.wait(60)
        assert not answer.done()
        quick.service.serve.set()
        assert answer.result(60).content == quick.service.video(task_id)
    assert quick.service.signatures == {httpx.URL(url).params["signature"]}
    assert [headers["Host"] for headers in quick.service.download_headers] == [httpx.URL(url).netloc.decode()]
