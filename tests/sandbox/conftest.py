"""A running sandbox and a client for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nodes.sandbox import Sandbox, SandboxOptions
from tests.media_files import flat

SUBMIT = "/v3/async/wan2.7-i2v"
RESULT = "/v3/async/task-result"
ENDED = ("TASK_STATUS_SUCCEED", "TASK_STATUS_FAILED")


class Client:
    """The service as a client without any cleverness sees it."""

    sandbox: Sandbox

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        headers = {"Authorization": "Bearer some-key"}
        self.http = httpx.Client(base_url=base_url, headers=headers, timeout=30, trust_env=False)
        # result and media URLs never get the key
        self.plain = httpx.Client(timeout=30, trust_env=False)

    def upload(self, name: str, data: bytes) -> str:
        answer = self.plain.put(f"{self.base_url}/sandbox/media/{name}", content=data)
        assert answer.status_code == 201, answer.text
        return answer.json()["url"]

    def post(self, body: Any, **options: Any) -> httpx.Response:
        return self.http.post(SUBMIT, json=body, **options)

    def submit(self, body: dict[str, Any]) -> str:
        answer = self.post({"resolution": "720P", "duration": 2, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()["task_id"]

    def result(self, task_id: str) -> dict[str, Any]:
        answer = self.http.get(RESULT, params={"task_id": task_id})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def finished(self, task_id: str) -> dict[str, Any]:
        """Poll until the task has ended."""
        end = time.monotonic() + 60
        while (result := self.result(task_id))["task"]["status"] not in ENDED:
            assert time.monotonic() < end, result
            time.sleep(0.02)
        return result

    def reason(self, body: dict[str, Any]) -> str:
        """Submit what has to fail; returns why it did."""
        task = self.finished(self.submit(body))["task"]
        assert task["status"] == "TASK_STATUS_FAILED", task
        return task["reason"]

    def video_url(self, body: dict[str, Any]) -> str:
        """Submit what has to work; returns the URL of its video."""
        result = self.finished(self.submit(body))
        assert result["task"]["status"] == "TASK_STATUS_SUCCEED", result
        return result["videos"][0]["video_url"]

    def download(self, url: str, **options: Any) -> httpx.Response:
        return self.plain.get(url, **options)

    def fault(self, at: str, kind: str, **values: Any) -> None:
        answer = self.plain.post(
            f"{self.base_url}/sandbox/faults", json={"faults": [{"at": at, "kind": kind, **values}]}
        )
        assert answer.status_code == 200, answer.text

    def reset(self) -> None:
        self.plain.delete(f"{self.base_url}/sandbox/faults")
        self.plain.delete(f"{self.base_url}/sandbox/log")

    def log(self) -> list[dict[str, Any]]:
        return self.plain.get(f"{self.base_url}/sandbox/log").json()

    def close(self) -> None:
        self.http.close()
        self.plain.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Starts sandboxes with options of their own: run(fps=2, state=path)."""
    running: list[tuple[Sandbox, Client]] = []

    def start(state: Path | None = None, **options: Any) -> Client:
        chosen = SandboxOptions(**{"task_seconds": 0, "fps": 2, **options})
        sandbox = Sandbox(state or tmp_path / "state", options=chosen)
        client = Client(sandbox.start())
        client.sandbox = sandbox
        running.append((sandbox, client))
        return client

    yield start
    for sandbox, client in running:
        client.close()
        sandbox.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One sandbox for a whole module: quick tasks, two frames a second."""
    sandbox = Sandbox(tmp_path_factory.mktemp("state"), options=SandboxOptions(task_seconds=0, fps=2))
    client = Client(sandbox.start())
    yield client
    client.close()
    sandbox.stop()


@pytest.fixture
def client(shared: Client) -> Iterator[Client]:
    """The shared sandbox, without faults and with an empty log."""
    shared.reset()
    yield shared
    shared.reset()


@pytest.fixture
def image_url(client: Client) -> str:
    """An upload that is a fine first frame."""
    return client.upload("first.png", flat(320, 240))
