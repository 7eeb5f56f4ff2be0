"""A plain HTTP client of the service, without retries, and the fixtures that run services for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nodes.sandbox.routes.service import RESULT_PATH, SUBMIT_PATH
from tests.media_files import flat
from tests.service.service import Service

ENDED = ("TASK_STATUS_SUCCEED", "TASK_STATUS_FAILED")


class Client:
    """A client of one service."""

    def __init__(self, service: Service) -> None:
        self.service, self.base_url = service, service.url
        headers = {"Authorization": "Bearer some-key"}
        self.http = httpx.Client(base_url=self.base_url, headers=headers, timeout=30, trust_env=False)
        # result and media URLs never get the key
        self.plain = httpx.Client(timeout=30, trust_env=False)

    def upload(self, name: str, data: bytes) -> str:
        answer = self.plain.put(f"{self.base_url}/sandbox/media/{name}", content=data)
        assert answer.status_code == 201, answer.text
        return answer.json()["url"]

    def post(self, body: Any, **options: Any) -> httpx.Response:
        return self.http.post(SUBMIT_PATH, json=body, **options)

    def submit(self, body: dict[str, Any]) -> str:
        answer = self.post({"resolution": "720P", "duration": 2, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()["task_id"]

    def poll(self, task_id: str, **options: Any) -> httpx.Response:
        return self.http.get(RESULT_PATH, params={"task_id": task_id}, **options)

    def result(self, task_id: str) -> dict[str, Any]:
        answer = self.poll(task_id)
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
        """Submit what has to fail; return why it did."""
        task = self.finished(self.submit(body))["task"]
        assert task["status"] == "TASK_STATUS_FAILED", task
        return task["reason"]

    def video_url(self, body: dict[str, Any]) -> str:
        """Submit what has to work; return the URL of its video."""
        result = self.finished(self.submit(body))
        assert result["task"]["status"] == "TASK_STATUS_SUCCEED", result
        return result["videos"][0]["video_url"]

    def download(self, url: str, **options: Any) -> httpx.Response:
        return self.plain.get(url, **options)

    def fault(self, at: str, kind: str, **values: Any) -> None:
        self.service.faults({"at": at, "kind": kind, **values})

    def close(self) -> None:
        self.http.close()
        self.plain.close()
        self.service.stop()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Start services with options of their own: run(fps=2, state=path)."""
    running: list[Client] = []

    def start(state: Path | None = None, **options: Any) -> Client:
        service = Service(state or tmp_path / "state", **{"task_seconds": 0, "fps": 2, **options})
        running.append(Client(service.start()))
        return running[-1]

    yield start
    for client in running:
        client.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One service for a whole module: quick tasks, two frames a second."""
    client = Client(Service(tmp_path_factory.mktemp("state"), task_seconds=0, fps=2).start())
    yield client
    client.close()


@pytest.fixture
def client(shared: Client) -> Iterator[Client]:
    """The shared service, without faults and with an empty log."""
    shared.service.reset()
    yield shared
    shared.service.reset()


@pytest.fixture
def image_url(client: Client) -> str:
    """An upload that is a valid first frame."""
    return client.upload("first.png", flat(320, 240))
