"""Addresses that are accepted, the estimated cost, and that the key never shows."""

from __future__ import annotations

import pytest

from nodes.api.connection import Connection
from nodes.api.request import VideoRequest
from nodes.core.errors import RequestError


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
