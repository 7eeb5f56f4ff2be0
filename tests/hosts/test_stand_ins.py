"""The stand-ins are strict: they take what a host documents, and record every mistake of a client."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.hosts.fixtures import STAND_INS
from tests.hosts.stand_in import StandIn


class Client:
    """A client that sends what a test wants, to the route of submits."""

    def __init__(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        (route,) = (each for each in stand_in.routes() if each.place == "submit")
        self.url = stand_in.urls[route.origin] + route.path
        self.headers = {"Authorization": f"{stand_in.scheme} {stand_in.key}", "X-DashScope-Async": "enable"}
        self.http = httpx.Client(trust_env=False)

    def submit(self, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.http.post(self.url, json=body, headers={**self.headers, **(headers or {})})

    def mistakes(self) -> list[str]:
        """Return the mistakes so far, which the test expects."""
        found, self.stand_in.mistakes = self.stand_in.mistakes, []
        return found


@pytest.fixture(params=STAND_INS)
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    with STAND_INS[request.param]() as stand_in:
        made = Client(stand_in)
        yield made
        made.http.close()
        assert made.mistakes() == []


def changed(stand_in: StandIn, name: str, value: Any) -> dict[str, Any]:
    """Return the documented body with another value of one input. Its name is the first vendor's, or unknown to all."""
    body = copy.deepcopy(dict(stand_in.frames))
    theirs = {ours: theirs for theirs, ours in stand_in.names.items()}
    parts = [part for part in (body.get("parameters"), body.get("input"), body) if part]
    next(part for part in parts if theirs["duration"] in part)[theirs.get(name, name)] = value
    return body


@pytest.mark.parametrize(
    ("name", "value"),
    [("fps", 24), ("duration", "5"), ("seed", None), ("prompt_extend", 1), ("duration", 16), ("resolution", "4K")],
)
def test_stand_in_records_a_wrong_input(client: Client, name: str, value: Any) -> None:
    client.submit(changed(client.stand_in, name, value))
    assert len(client.mistakes()) == 1
    assert client.stand_in.accepted() == []


def test_stand_in_tells_the_case_of_a_resolution(client: Client) -> None:
    wrong = client.stand_in.resolutions[0].swapcase()
    client.submit(changed(client.stand_in, "resolution", wrong))
    assert wrong in client.mistakes()[0]


def test_stand_in_records_media_that_exclude_each_other(client: Client) -> None:
    both = copy.deepcopy(dict(client.stand_in.frames))
    clip = {name for name, ours in client.stand_in.names.items() if ours == "first_clip_url"}.pop()
    if "media" in both.get("input", {}):
        both["input"]["media"].append({"type": clip, "url": "https://x.test/clip.mp4"})
    else:
        both.get("input", both)[clip] = "https://x.test/clip.mp4"
    client.submit(both)
    assert "together" in client.mistakes()[0]


def test_stand_in_records_a_key_in_the_wrong_place(client: Client) -> None:
    host, key = client.stand_in, client.stand_in.key
    wrong_scheme = {"Authorization": f"{'Bearer' if host.scheme == 'Key' else 'Key'} {key}"}
    assert client.submit(host.frames, wrong_scheme).status_code in (200, 401)  # 200: the code is in the body
    assert "Authorization header has to be" in client.mistakes()[0]
    client.submit(host.frames, {"X-Key": key})
    assert "outside of the Authorization header" in client.mistakes()[0]
    for origin in [name for name, with_key in host.origins.items() if not with_key]:
        client.http.get(f"{host.urls[origin]}/any.mp4", headers=client.headers)
        assert "no key" in client.mistakes()[0], origin
    client.http.get(f"{host.urls['api']}/nothing", headers=client.headers)
    assert "not a route" in client.mistakes()[0]
    assert host.accepted() == []


def test_stand_in_refuses_another_key_without_recording_it(client: Client) -> None:
    answer = client.submit(client.stand_in.frames, {"Authorization": f"{client.stand_in.scheme} another"})
    assert 401 in (answer.status_code, answer.json().get("code"))
