"""The fake service: the sandbox on loopback, in this process, with faults."""

from __future__ import annotations

from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any

import httpx
from aiohttp import web

from nodes.sandbox import Sandbox, SandboxOptions
from nodes.sandbox.fetch import FetchError
from nodes.sandbox.routes.service import RESULT_PATH, SUBMIT_PATH
from nodes.sandbox.store import Store
from nodes.sandbox.tasks import Tasks, until
from tests.service.fault_injection import FaultInjection

KEY = "sk-test-key-0123456789"
TASK_SECONDS = 1.0
"""How long one task takes on any machine: rendering 2 s at 8 frames per second takes less than that."""
FPS = 8
"""Low, because rendering time grows with the number of frames."""


class Service(FaultInjection):
    """The service that a test talks to.

    Args:
        state: directory of the sandbox. Several services may share it.
        rendered: if False, tasks fetch no media and finish at once, and their videos have only the boxes of an mp4.
        options: of the sandbox.
    """

    def __init__(self, state: Path, *, rendered: bool = True, **options: Any) -> None:
        super().__init__()
        self.state, self.rendered = state, rendered
        quick = {"task_seconds": TASK_SECONDS if rendered else 0.0, "fps": FPS}
        self._options = SandboxOptions(**{**quick, **options})
        self._sandbox: Sandbox | None = None
        self.url = ""

    def start(self) -> Service:
        """Start listening; a service that was started before keeps its address."""
        port = int(self.url.rpartition(":")[2]) if self.url else 0
        self._sandbox = _FaultySandbox(self, self.state, port=port, options=self._options)
        self.url = self._sandbox.start()
        return self

    def stop(self) -> None:
        """Stop listening; connections are refused from now on."""
        self.open_gates()
        if self._sandbox is not None:
            self._sandbox.stop()

    def __enter__(self) -> Service:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def make(self, **body: Any) -> str:
        """Submit a request; return the id of its task."""
        return str(self._request("POST", SUBMIT_PATH, json=body)["task_id"])

    def task(self, task_id: str) -> dict[str, Any]:
        """Return what the service says about a task."""
        return self._request("GET", RESULT_PATH, params={"task_id": task_id})

    def video(self, task_id: str) -> bytes:
        """Return the video of a finished task."""
        task = self.store.task(task_id)
        assert task is not None
        return self.store.result(task["result"]).read_bytes()

    def forget(self) -> None:
        """Forget all tasks."""
        for task in self.store.tasks():
            (self.state / "tasks" / f"{task['task_id']}.json").unlink()

    def _request(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {KEY}"}
        answer = httpx.request(method, self.url + path, headers=headers, timeout=30, trust_env=False, **arguments)
        result: dict[str, Any] = answer.raise_for_status().json()
        return result


class _FaultySandbox(Sandbox):
    def __init__(self, service: Service, state: Path, *, port: int, options: SandboxOptions) -> None:
        super().__init__(state, port=port, options=options)
        self._service = service

    def create_tasks(self, store: Store) -> Tasks:
        self._service.store = store
        return _FaultyTasks(self._service, store, self.options)

    def create_app(self, store: Store, tasks: Tasks) -> web.Application:
        app = super().create_app(store, tasks)
        app.middlewares.append(self._service.middleware)
        return app


class _FaultyTasks(Tasks):
    def __init__(self, service: Service, store: Store, options: SandboxOptions) -> None:
        super().__init__(store, options)
        self._service = service

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        task = super().create(body)
        fault = self._service.pick("task", task)
        if fault is not None and fault.kind == "slow":
            task["ready_ms"] += round(fault.values["seconds"] * 1000)
        if fault is not None and fault.kind == "fail":
            task["fail_with"] = fault.values["reason"]
        self._service.store.write_task(task)
        return task

    async def make(self, task: dict[str, Any]) -> None:
        if "fail_with" in task:
            await until(task["ready_ms"])
            raise FetchError(task["fail_with"])
        if self._service.rendered:
            await super().make(task)
            return
        task["result"] = task["task_id"]
        self._service.store.result(task["result"]).write_bytes(mp4(task["task_id"]))


def mp4(seed: str, size: int = 50_000) -> bytes:
    """Return bytes with the outermost boxes of an mp4."""
    payload = Random(seed).randbytes(size)
    boxes = ((b"ftyp", b"isom\0\0\2\0isomiso2"), (b"moov", b"\0" * 64), (b"mdat", payload))
    return b"".join((len(body) + 8).to_bytes(4, "big") + kind + body for kind, body in boxes)
