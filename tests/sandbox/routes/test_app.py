from __future__ import annotations

import pytest

from tests.service.client import Client


@pytest.mark.parametrize("path", ["/sandbox/media/token/a.png", "/result/a.mp4", "/openapi/v1/billing/balance/detail"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8188", "192.168.0.5", ""])
def test_app_refuses_other_host_names(client: Client, path: str, host: str) -> None:
    assert client.http.get(path, headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9", "[::1]:80"])
def test_app_answers_loopback_names(client: Client, host: str) -> None:
    assert client.http.get("/openapi/v1/billing/balance/detail", headers={"Host": host}).status_code == 200


def test_app_refuses_writes_from_web_pages(client: Client) -> None:
    upload = f"{client.base_url}/sandbox/media/a.png"
    foreign = {"Origin": "https://evil.example"}
    assert client.plain.put(upload, content=b"abc", headers=foreign).status_code == 403
    assert client.post({}, headers=foreign).json()["reason"] == "API_NOT_ALLOWED"
    own = {"Origin": "http://127.0.0.1:8188"}
    assert client.plain.put(upload, content=b"abc", headers=own).status_code == 201
