"""Faults of a download."""

from __future__ import annotations

import httpx
import pytest

from tests.media_files import flat
from tests.service.client import Client


@pytest.fixture(scope="module")
def video(shared: Client) -> tuple[str, bytes]:
    """URL and content of a finished video."""
    url = shared.video_url({"image_url": shared.upload("a.png", flat(320, 240)), "prompt": "a cat"})
    return url, shared.download(url).content


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


@pytest.mark.parametrize(("kind", "status"), [("server_error", 500), ("page", 200)])
def test_download_fault_is_an_answer(client: Client, video: tuple[str, bytes], kind: str, status: int) -> None:
    client.fault("download", kind)
    got = client.download(video[0])
    assert got.status_code == status
    assert b"ftyp" not in got.content


def test_download_half_is_a_whole_answer(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "half")
    got = client.download(video[0])
    assert (got.status_code, got.content) == (200, video[1][: len(video[1]) // 2])


def test_download_redirect_leads_to_the_same_url(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "redirect")
    assert client.download(video[0], follow_redirects=True).content == video[1]


def test_only_for_one_prompt(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "expired", prompt="dog")
    assert client.download(video[0]).status_code == 200
    client.fault("download", "expired", prompt="cat")
    assert client.download(video[0]).status_code == 403
