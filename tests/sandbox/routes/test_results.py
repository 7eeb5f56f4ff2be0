from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from tests.media_files import flat
from tests.service.client import Client


@pytest.fixture(scope="module")
def video(shared: Client) -> tuple[str, bytes]:
    """Return the URL and the content of a finished video."""
    url = shared.video_url({"image_url": shared.upload("a.png", flat(320, 240)), "prompt": "a cat"})
    return url, shared.download(url).content


def test_result_is_sent_by_range(client: Client, video: tuple[str, bytes]) -> None:
    url, data = video
    got = client.download(url, headers={"Range": "bytes=1000-1999"})
    assert (got.status_code, got.content) == (206, data[1000:2000])
    got = client.download(url, headers={"Range": "bytes=5000-"})
    assert (got.status_code, got.content) == (206, data[5000:])
    assert got.headers["Content-Range"] == f"bytes 5000-{len(data) - 1}/{len(data)}"


def test_result_refuses_the_api_key(client: Client, video: tuple[str, bytes]) -> None:
    assert client.download(video[0], headers={"Authorization": "Bearer some-key"}).status_code == 400


def test_result_urls_are_signed_and_expire(
    run: Callable[..., Client], client: Client, video: tuple[str, bytes]
) -> None:
    url = httpx.URL(video[0])
    later = url.copy_merge_params({"expires": str(int(url.params["expires"]) + 1)})
    for wrong in (later, url.copy_with(query=None), url.copy_merge_params({"signature": "0" * 32})):
        assert client.download(str(wrong)).status_code == 403
    short = run(result_ttl_seconds=0)
    task_id = short.submit({"image_url": short.upload("a.png", flat(240, 240))})
    url = httpx.URL(short.finished(task_id)["videos"][0]["video_url"])
    while time.time() <= int(url.params["expires"]):
        time.sleep(0.05)
    assert short.download(str(url)).status_code == 403


def test_result_url_is_new_in_every_answer(run: Callable[..., Client]) -> None:
    client = run(result_ttl_seconds=4)
    task_id = client.submit({"image_url": client.upload("a.png", flat(240, 240))})
    first = client.finished(task_id)["videos"][0]
    assert first["video_url_ttl"] == "4"
    while client.download(first["video_url"]).status_code == 200:
        time.sleep(0.05)
    second = client.result(task_id)["videos"][0]["video_url"]
    assert client.download(second).status_code == 200
