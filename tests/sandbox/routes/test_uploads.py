from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.service.client import Client


def test_upload_can_be_fetched(client: Client) -> None:
    data = bytes(range(256)) * 2000
    answer = client.plain.put(f"{client.base_url}/sandbox/media/speech.wav", content=data)
    assert answer.status_code == 201
    upload = answer.json()
    assert upload["sha256"] == hashlib.sha256(data).hexdigest()
    assert upload["expires_in"] == 86400
    got = client.download(upload["url"])
    assert (got.status_code, got.content) == (200, data)
    assert (got.headers["Content-Type"], got.headers["Content-Length"]) == ("audio/wav", str(len(data)))


@pytest.mark.parametrize(
    ("header", "span"),
    [("bytes=0-99", slice(0, 100)), ("bytes=900-", slice(900, None)), ("bytes=-10", slice(-10, None))],
)
def test_upload_is_sent_by_range(client: Client, header: str, span: slice) -> None:
    data = bytes(range(250)) * 4
    got = client.download(client.upload("a.png", data), headers={"Range": header})
    assert (got.status_code, got.content) == (206, data[span])
    assert got.headers["Content-Range"].endswith("/1000")


def test_upload_range_outside_the_file_is_416(client: Client) -> None:
    got = client.download(client.upload("a.png", b"abc"), headers={"Range": "bytes=3-"})
    assert got.status_code == 416


def test_upload_answers_head(client: Client) -> None:
    got = client.plain.head(client.upload("a.mp4", b"abc"))
    assert (got.status_code, got.headers["Content-Type"], got.headers["Content-Length"]) == (200, "video/mp4", "3")


def test_upload_urls_cannot_be_guessed(client: Client) -> None:
    first, second = client.upload("a.png", b"same"), client.upload("a.png", b"same")
    assert first != second
    token = first.split("/")[-2]
    assert len(token) >= 22
    for guess in ("x" * len(token), "..", "%2e%2e%2fsecret", token[:-1]):
        assert client.download(first.replace(token, guess)).status_code == 404


@pytest.mark.parametrize("name", ["..%2f..%2fsecret", "a b.html", "日本.svg", "x" * 500 + ".png"])
def test_upload_names_are_made_harmless(client: Client, name: str, tmp_path: Path) -> None:
    url = client.upload(name, b"<script>")
    assert "/.." not in url
    got = client.download(url)
    assert got.content == b"<script>"
    assert got.headers["Content-Type"] in ("application/octet-stream", "image/png")
    assert got.headers["X-Content-Type-Options"] == "nosniff"


def test_upload_beyond_the_limit_is_refused(run: Callable[..., Client], tmp_path: Path) -> None:
    client = run(max_upload_bytes=1_000_000)
    client.upload("a.png", bytes(1_000_000))

    def chunks() -> Iterator[bytes]:
        for _ in range(1001):
            yield bytes(1000)

    answer = client.plain.put(f"{client.base_url}/sandbox/media/a.png", content=chunks())
    assert answer.status_code == 413
    assert "1000000" in answer.json()["message"]
    assert list((tmp_path / "state" / "temporary").iterdir()) == []


def test_upload_that_breaks_off_leaves_nothing(client: Client, run: Callable[..., Client], tmp_path: Path) -> None:
    other = run()

    def chunks() -> Iterator[bytes]:
        yield bytes(500_000)
        raise OSError("the client is gone")

    with pytest.raises((OSError, httpx.HTTPError)):
        other.plain.put(f"{other.base_url}/sandbox/media/a.png", content=chunks())
    other.service.stop()
    assert list((tmp_path / "state" / "temporary").iterdir()) == []
    assert list((tmp_path / "state" / "uploads").iterdir()) == []
