"""The sandbox, standing in for the paid service: tests switch its faults on and read what reached it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from nodes.sandbox import Sandbox, SandboxOptions

KEY = "sk-test-key-0123456789"
#: As long as one task takes, whatever the machine does: rendering 2 s at 8 frames a second is quicker than that.
TASK_SECONDS = 1.0
#: Few frames: they take the time.
FPS = 8


class Service:
    """A sandbox on loopback, in this process."""

    def __init__(self, state: Path, **options: Any) -> None:
        self._sandbox = Sandbox(state, options=SandboxOptions(**{"task_seconds": TASK_SECONDS, "fps": FPS, **options}))
        self.url = ""

    def __enter__(self) -> Service:
        self.url = self._sandbox.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sandbox.stop()

    def faults(self, *faults: dict[str, Any]) -> None:
        """Switch these faults on and all others off; nodes/sandbox/faults.py says what there is."""
        self._request("POST", "/sandbox/faults", json={"faults": list(faults)})

    def posts(self) -> list[dict[str, Any]]:
        """Every submit that reached the service, oldest first."""
        log: list[dict[str, Any]] = self._request("GET", "/sandbox/log").json()
        return log

    def reset(self) -> None:
        self.faults()
        self._request("DELETE", "/sandbox/log")

    def task(self, task_id: str) -> dict[str, Any]:
        """What the service says about a task."""
        answer = self._request(
            "GET", "/v3/async/task-result", params={"task_id": task_id}, headers={"Authorization": f"Bearer {KEY}"}
        )
        result: dict[str, Any] = answer.json()
        return result

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        answer = httpx.request(method, f"{self.url}{path}", timeout=30, trust_env=False, **arguments)
        return answer.raise_for_status()
