from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from tests.media_files import flat
from tests.sandbox.conftest import Client


@pytest.fixture(scope="module")
def video(shared: Client) -> tuple[str, bytes]:
    """URL and content of a finished video."""
    url = shared.video_url({"image_url": shared.upload("a.png", flat(320, 240)), "prompt": "a cat"})
    return url, shared.download(url).content


def test_ranges(client: Client, video: tuple[str, bytes]) -> None:
    url, data = video
    got = client.download(url, headers={"Range": "bytes=1000-1999"})
    assert (got.status_code, got.content) == (206, data[1000:2000])
    got = client.download(url, headers={"Range": "bytes=5000-"})
    assert (got.status_code, got.content) == (206, data[5000:])
    assert got.headers["Content-Range"] == f"bytes 5000-{len(data) - 1}/{len(data)}"


def test_the_key_does_not_belong_here(client: Client, video: tuple[str, bytes]) -> None:
    assert client.download(video[0], headers={"Authorization": "Bearer some-key"}).status_code == 400


def test_urls_are_signed_and_expire(run: Callable[..., Client], client: Client, video: tuple[str, bytes]) -> None:
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


def test_every_answer_has_a_fresh_url(run: Callable[..., Client]) -> None:
    client = run(result_ttl_seconds=2)
    task_id = client.submit({"image_url": client.upload("a.png", flat(240, 240))})
    first = client.finished(task_id)["videos"][0]
    assert first["video_url_ttl"] == "2"
    while client.download(first["video_url"]).status_code == 200:
        time.sleep(0.05)
    second = client.result(task_id)["videos"][0]["video_url"]
    assert client.download(second).status_code == 200


# --- faults of a download


def cut_off(client: Client, url: str, **headers: str) -> bytes:
    """What arrives before the connection breaks."""
    got = b""
    with pytest.raises(httpx.RemoteProtocolError), client.plain.stream("GET", url, headers=headers) as answer:
        for chunk in answer.iter_raw():
            got += chunk
    return got


def test_cut_after_some_bytes(client: Client, video: tuple[str, bytes]) -> None:
    url, data = video
    client.fault("download", "cut", bytes=1234)
    assert cut_off(client, url) == data[:1234]
    assert client.download(url).content == data


def test_cut_at_random_and_resumed(client: Client, video: tuple[str, bytes]) -> None:
    url, data = video
    client.fault("download", "cut", count=5)
    got, lengths = b"", []
    for _ in range(5):
        part = cut_off(client, url, Range=f"bytes={len(got)}-")
        lengths.append(len(part))
        got += part
    rest = client.download(url, headers={"Range": f"bytes={len(got)}-"})
    assert got + rest.content == data
    assert len(set(lengths)) > 1


def test_ignored_range(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "ignore_range")
    got = client.download(video[0], headers={"Range": "bytes=100-"})
    assert (got.status_code, got.content) == (200, video[1])


def test_expired_unavailable_and_redirect(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "expired")
    assert client.download(video[0]).status_code == 403
    client.fault("download", "unavailable")
    assert client.download(video[0]).status_code == 503
    client.fault("download", "redirect", url="http://10.0.0.1/x.mp4")
    got = client.download(video[0])
    assert (got.status_code, got.headers["Location"]) == (302, "http://10.0.0.1/x.mp4")


def test_wrong_length(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "wrong_length", by=10)
    with client.plain.stream("GET", video[0]) as answer:
        assert int(answer.headers["Content-Length"]) == len(video[1]) + 10
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()


def test_slow_chunks(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "slow", seconds=0, chunk=1000)
    assert client.download(video[0]).content == video[1]


def test_garbage(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "garbage")
    got = client.download(video[0])
    assert got.status_code == 200
    assert b"ftyp" not in got.content
    assert len(got.content) > 1000


def test_only_for_one_prompt(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "expired", prompt="dog")
    assert client.download(video[0]).status_code == 200
    client.fault("download", "expired", prompt="cat")
    assert client.download(video[0]).status_code == 403
