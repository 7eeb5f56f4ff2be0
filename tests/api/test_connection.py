"""Addresses that are accepted, the estimated cost, and that the key never shows."""

from __future__ import annotations

import pytest

from nodes.api.connection import Connection
from nodes.api.dialect import Call
from nodes.api.request import VideoRequest
from nodes.api.task import TaskHandle
from nodes.core.errors import RequestError, ServerError
from nodes.core.hosts import HOSTS

FAL = Connection(
    "fal", "https://queue.fal.run", "id:secret", upload_url="https://rest.fal.ai", list_url="https://api.fal.ai"
)


@pytest.mark.parametrize(
    "url", ["https://api.novita.ai", "http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:2"]
)
def test_base_url_accepts_https_and_loopback(url: str) -> None:
    assert Connection("novita", url, "key").base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.novita.ai",
        "http://10.0.0.1",
        "ftp://api.novita.ai",
        "api.novita.ai",
        "",
        "https://user:pass@host",
        "https://h?x=1",
    ],
)
def test_base_url_refuses_what_would_expose_the_key(url: str) -> None:
    with pytest.raises(RequestError, match="base_url"):
        Connection("novita", url, "key")


@pytest.mark.parametrize("key", ["base_url", "upload_url", "list_url"])
def test_address_that_would_expose_the_key_is_refused_by_its_setting(key: str) -> None:
    addresses = {**HOSTS["fal"].addresses, key: "http://h.example"}
    with pytest.raises(RequestError, match=rf"{key} under \[fal\] in config.toml \(or WAN27_FAL_{key.upper()}\)"):
        Connection("fal", api_key="key", **addresses)


@pytest.mark.parametrize("name", list(HOSTS))
def test_connection_has_the_dialect_of_its_name(name: str) -> None:
    assert Connection(name, "https://h.example", "key").dialect.name == name


@pytest.mark.parametrize(
    ("at", "url"),
    [
        ("base_url", "https://queue.fal.run/a"),
        ("upload_url", "https://rest.fal.ai/a"),
        ("list_url", "https://api.fal.ai/a"),
    ],
)
def test_call_goes_to_its_address_with_the_key_as_the_host_wants_it(at: str, url: str) -> None:
    arguments = FAL.arguments(Call("GET", "/a", params={"x": "1"}, headers={"X-Own": "y"}, at=at))  # type: ignore[arg-type]
    assert (arguments["url"], arguments["params"], arguments["content"]) == (url, {"x": "1"}, None)
    assert arguments["headers"] == {"Authorization": "Key id:secret", "X-Own": "y"}


def test_call_with_a_body_is_json() -> None:
    arguments = Connection("kie", "https://api.kie.ai", "k").arguments(Call("POST", "/a", json={"prompt": "wäves"}))
    assert arguments["content"].decode() == '{"prompt":"wäves"}'
    assert arguments["headers"] == {"Authorization": "Bearer k", "Content-Type": "application/json"}


OWN = [
    "https://queue.fal.run/fal-ai/wan/requests/r/status",
    "https://QUEUE.fal.run:443/x",
    "https://api.fal.ai/x",
    "https://rest.fal.ai/x",
]
FOREIGN = [
    "https://queue.fal.run.evil.example/x",
    "https://evil.example/queue.fal.run",
    "https://queue.fal.run:8443/x",
    "http://queue.fal.run/x",
    "https://queue.fal.run@evil.example/x",
    "https://user:pass@queue.fal.run/x",
    "https://fal.run/x",
    "https://queue.fal.run\\@evil.example/x",
    "ftp://queue.fal.run/x",
]


@pytest.mark.parametrize("url", OWN)
def test_url_on_an_own_address_gets_the_key(url: str) -> None:
    assert FAL.arguments(Call("GET", url))["headers"]["Authorization"] == "Key id:secret"


@pytest.mark.parametrize("url", [*OWN, "x", "/x", ".evil.example/x", "@evil.example/x", "https:/evil.example", ""])
def test_handle_keeps_only_urls_on_the_host_that_was_submitted_to(url: str) -> None:
    is_kept = "queue.fal.run" in url.lower()
    assert FAL.trusted(TaskHandle("r", {"status_url": url})).kept == ({"status_url": url} if is_kept else {})


@pytest.mark.parametrize("path", [".evil.example/x", "@evil.example/x", "https:/evil.example", "ftp://h.example/x", ""])
def test_call_to_what_is_not_a_url_is_refused(path: str) -> None:
    for with_key in (True, False):
        with pytest.raises(ServerError, match="not an http"):
            FAL.arguments(Call("GET", path, with_key=with_key))


@pytest.mark.parametrize("url", FOREIGN)
def test_url_anywhere_else_never_gets_the_key(url: str) -> None:
    with pytest.raises(ServerError, match=r"another host|not an http"):
        FAL.arguments(Call("GET", url))
    own = "https://queue.fal.run/x"
    assert FAL.trusted(TaskHandle("r", {"status_url": url, "own": own})) == TaskHandle("r", {"own": own})


def test_connection_repr_has_no_key() -> None:
    assert "sk-secret" not in repr(Connection("novita", "https://api.novita.ai", "sk-secret"))


@pytest.mark.parametrize(("resolution", "seconds", "cost"), [("720P", 2, 0.2), ("1080P", 15, 2.25), ("1080P", 7, 1.05)])
def test_estimate_is_seconds_times_price(resolution: str, seconds: int, cost: float) -> None:
    request = VideoRequest(resolution=resolution, duration=seconds)
    assert Connection("novita", "https://api.novita.ai", "k").estimate(request) == pytest.approx((cost, cost))
    assert Connection("novita", "https://api.novita.ai", "k", {resolution: 1.0}).estimate(request) == (seconds, seconds)


@pytest.mark.parametrize(
    ("clip_seconds", "high"), [(None, 1.0), (0.0, 0.7), (2.0, 0.7), (2.5, 0.75), (5.0, 1.0), (10.0, 1.0)]
)
def test_estimate_with_a_clip_is_a_range(clip_seconds: float | None, high: float) -> None:
    request = VideoRequest(resolution="720P", duration=5, first_clip_url="https://h.example/clip.mp4")
    made = Connection("novita", "https://api.novita.ai", "k").estimate(request, clip_seconds)
    assert made == pytest.approx((0.5, high))
