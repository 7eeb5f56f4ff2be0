from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nodes.sandbox.fetch import upload_token
from tests.media_files import flat
from tests.service.client import Client

UNABLE = "InvalidParameter.DataInspection: Unable to download the media resource during the data inspection process."


class Files(BaseHTTPRequestHandler):
    """Another server on this machine."""

    def do_GET(self) -> None:
        if self.path == "/moved.png":
            self.send_response(302)
            self.send_header("Location", "/a.png")
            self.end_headers()
            return
        data = {"/a.png": flat(320, 240), "/huge.png": bytes(20_000_001), "/cut.png": flat(320, 240)}.get(self.path)
        self.send_response(200 if data else 404)
        self.send_header("Content-Length", str(len(data or b"") + (100 if self.path == "/cut.png" else 0)))
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def files() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_fetch_from_another_server_on_loopback(client: Client, files: str) -> None:
    assert client.video_url({"image_url": f"{files}/a.png"})
    assert client.video_url({"image_url": f"{files}/a.png".replace("127.0.0.1", "localhost")})


@pytest.mark.parametrize(
    ("path", "start"),
    [
        ("/missing.png", UNABLE),
        ("/moved.png", UNABLE),
        ("/cut.png", UNABLE),
        ("/huge.png", "InvalidParameter: image_url has more than 20000000 bytes"),
    ],
)
def test_fetch_failure_is_the_reason_of_the_task(client: Client, files: str, path: str, start: str) -> None:
    assert client.reason({"image_url": files + path}).startswith(start)


def test_fetch_from_a_closed_port_fails(client: Client) -> None:
    assert client.reason({"image_url": "http://127.0.0.1:9/a.png"}).startswith(UNABLE)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png",
        "http://192.168.0.1/a.png",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1.example.com/a.png",
        "http://127.0.0.1@example.com/a.png",
        "http://0.0.0.0/a.png",
    ],
)
def test_fetch_refuses_other_machines(client: Client, url: str) -> None:
    reason = client.reason({"image_url": url})
    assert reason.startswith(UNABLE)
    assert "does not reach the internet" in reason


def test_fetch_of_an_expired_upload_fails(run: Callable[..., Client]) -> None:
    client = run(upload_expires=-1)
    url = client.upload("a.png", flat(240, 240))
    assert client.download(url).status_code == 403
    reason = client.reason({"image_url": url})
    assert reason.startswith(UNABLE)
    assert "expired" in reason


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("http://127.0.0.1:1234/sandbox/media/abc/a.png", "abc"),
        ("http://example.com/sandbox/media/abc/a.png", None),
        ("http://127.0.0.1:1234/result/abc.mp4", None),
        ("http://[::1", None),
    ],
)
def test_upload_token(url: str, token: str | None) -> None:
    assert upload_token(url) == token
