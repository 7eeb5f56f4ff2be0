"""Who may use the routes under /wan27/."""

from __future__ import annotations

import json
from unittest.mock import Mock

import pytest
from aiohttp.test_utils import make_mocked_request

from nodes.panel.access import is_local, refusal
from tests.panel.conftest import KEY, Host


def test_read_routes_refuse_pages_of_other_sites(host: Host) -> None:
    paths = [path for method, path in host.routes() if method == "GET"]
    answers = [host.ask("GET", path, headers={"Sec-Fetch-Site": "cross-site"}).status_code for path in paths]
    assert dict(zip(paths, answers, strict=True)) == dict.fromkeys(paths, 403)
    assert len(paths) >= 9


def test_key_last4_is_shown_on_this_machine_only(host: Host) -> None:
    (host.user / "config.toml").write_text(f'[novita]\napi_key = "{KEY}"\n')

    here = host.get("/wan27/status")["key"]
    proxied = host.get("/wan27/status", headers={"X-Forwarded-For": "203.0.113.5"})["key"]
    rebound = host.get("/wan27/status", headers={"Host": "evil.example"})["key"]

    assert here["last4"] == KEY[-4:]
    assert proxied["last4"] is None
    assert rebound["last4"] is None
    assert not proxied["can_change"]


FOREIGN: dict[str, dict[str, str | None]] = {
    "another site": {"Origin": "https://evil.example"},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "a sandboxed frame": {"Origin": "null"},
    "no origin": {"Origin": None},
    "a form": {"Content-Type": "text/plain"},
    "no content type": {"Content-Type": None},
    "DNS rebinding": {"Host": "evil.example", "Origin": "http://evil.example"},
    "a proxy": {"X-Forwarded-For": "203.0.113.5"},
    "a cross-site fetch": {"Sec-Fetch-Site": "cross-site"},
}


@pytest.mark.parametrize("case", FOREIGN)
def test_write_routes_are_for_our_own_page_on_this_machine(case: str, host: Host) -> None:
    headers = {name: value for name, value in (host.own_page | FOREIGN[case]).items() if value is not None}
    body, routes = json.dumps({"set": {"fal.api_key": KEY}}), [one for one in host.routes() if one[0] != "GET"]

    answers = [host.ask(*route, headers=headers, content=body).status_code for route in routes]

    assert dict(zip(routes, answers, strict=True)) == dict.fromkeys(routes, 403)
    assert len(routes) >= 6
    assert not (host.user / "config.toml").exists()


@pytest.mark.parametrize(
    ("peer", "here"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("192.168.1.5", False), (None, False)],
)
def test_is_local_goes_by_the_address(peer: str | None, here: bool) -> None:
    transport = Mock()
    transport.get_extra_info = lambda name, default=None: (peer, 5) if peer and name == "peername" else default
    headers = {"Host": "127.0.0.1:8188", "Origin": "http://127.0.0.1:8188", "Content-Type": "application/json"}
    request = make_mocked_request("PUT", "/wan27/settings", headers=headers, transport=transport)

    assert is_local(request) is here
    assert (refusal(request) is None) is here
