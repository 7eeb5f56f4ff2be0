from __future__ import annotations

import pytest

from tests.sandbox.conftest import Client


def test_faults_can_be_set_added_shown_and_cleared(client: Client) -> None:
    url = f"{client.base_url}/sandbox/faults"
    one, two = {"at": "submit", "kind": "refuse"}, {"at": "task", "kind": "slow", "seconds": 1}
    client.plain.post(url, json={"faults": [one]})
    shown = client.plain.post(url, json={"faults": [two], "add": True}).json()["faults"]
    assert [(fault["at"], fault["kind"], fault["hits"]) for fault in shown] == [
        ("submit", "refuse", 0),
        ("task", "slow", 0),
    ]
    assert client.plain.post(url, json={"faults": [two]}).json()["faults"] == shown[1:]
    assert client.plain.delete(url).json() == {"faults": []}
    assert client.plain.get(url).json() == {"faults": []}


def test_the_log_has_every_post_in_order(client: Client, image_url: str) -> None:
    accepted = client.submit({"image_url": image_url, "prompt": "x" * 1000})
    client.post({})
    client.post({"image_url": image_url}, headers={"Authorization": "Bearer bad-key"})
    log = client.log()
    assert [(entry["accepted"], entry["task_id"], entry["status"]) for entry in log] == [
        (True, accepted, 200),
        (False, None, 400),
        (False, None, 401),
    ]
    assert [entry["time"] for entry in log] == sorted(entry["time"] for entry in log)
    assert len(log[0]["fingerprint"]) == 64
    assert len(log[0]["body"]["prompt"]) < 400
    assert "some-key" not in str(log)
    assert client.plain.delete(f"{client.base_url}/sandbox/log").json() == []
    assert client.log() == []


@pytest.mark.parametrize("path", ["/sandbox/log", "/sandbox/faults", "/openapi/v1/billing/balance/detail"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8188", "192.168.0.5", ""])
def test_only_loopback_names_are_answered(client: Client, path: str, host: str) -> None:
    assert client.http.get(path, headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9", "[::1]:80"])
def test_loopback_names(client: Client, host: str) -> None:
    assert client.http.get("/sandbox/log", headers={"Host": host}).status_code == 200


def test_web_pages_cannot_steer_it(client: Client) -> None:
    url = f"{client.base_url}/sandbox/faults"
    body = b'{"faults": []}'
    assert client.plain.post(url, content=body, headers={"Content-Type": "text/plain"}).status_code == 415
    foreign = {"Origin": "https://evil.example", "Content-Type": "application/json"}
    assert client.plain.post(url, content=body, headers=foreign).status_code == 403
    assert client.plain.delete(f"{client.base_url}/sandbox/log", headers=foreign).status_code == 403
    own = {"Origin": "http://127.0.0.1:8188", "Content-Type": "application/json"}
    assert client.plain.post(url, content=body, headers=own).status_code == 200
