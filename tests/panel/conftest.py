"""The routes on a server of their own, with the folders of a ComfyUI."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from nodes.config import Budget
from nodes.core.hosts import HOSTS
from nodes.ledger import Ledger, TaskRecord
from nodes.panel.routes import add_routes
from nodes.services import Process
from nodes.storage.comfyui import ROUTE as MEDIA_ROUTE
from tests.fixtures import service
from tests.media_files import write_clip

__all__ = ["service"]

KEY = "sk-very-secret-0123456789"
SIGNED = "https://bucket.example/result.mp4?signature=0123456789abcdef"


class Host:
    """The routes on a server of their own, with the folders of a ComfyUI."""

    def __init__(self, folder: Path) -> None:
        self.user, self.output = folder / "user", folder / "output"
        self.user.mkdir()
        self.output.mkdir()
        self.process = Process(self.user, self.output)
        self.events: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = self._do(self._start())

    async def _start(self) -> str:
        table = web.RouteTableDef()
        add_routes(table, self.process, lambda event, data: self.events.append(event), self._loop)
        app = web.Application()
        self._routes = app.add_routes(table)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def stop(self) -> None:
        self._do(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def ledger(self) -> Ledger:
        return self.process.ledger()

    @property
    def own_page(self) -> dict[str, str]:
        return {"Origin": self.url, "Content-Type": "application/json"}

    def routes(self, record_id: int = 1) -> Iterator[tuple[str, str]]:
        """Return method and path of each route, but that of uploaded files, which everyone with a link may read."""
        for route in self._routes:
            assert route.resource
            path = route.resource.canonical
            if route.method != "HEAD" and not path.startswith(MEDIA_ROUTE):
                yield route.method, path.format(id=record_id, name="wan27_image_to_video")

    def ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return httpx.request(method, self.url + path, trust_env=False, timeout=120, **arguments)

    def get(self, path: str, **arguments: Any) -> Any:
        return self.ask("GET", path, **arguments).raise_for_status().json()

    def write(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return self.ask(method, path, headers=self.own_page, content=json.dumps(body or {}))

    def task(self, prompt: str, *, connection: str = "novita", service: str = "", estimate: float = 0.5) -> int:
        wanted = TaskRecord(
            fingerprint=prompt,
            file_fingerprint=prompt,
            service=service or connection,
            connection=connection,
            base_url="https://api.example",
            request={"prompt": prompt, "duration": 5, "resolution": "720P"},
            estimate=estimate,
            counted=connection != "sandbox",
            run_id="run",
            prompt_id="prompt",
            node_id="7",
        )
        [(record, _)] = self.ledger.claim([wanted], reuse=[True], budget=Budget(1000, 1000))
        self.ledger.begin_post(record.id)
        self.ledger.record_task(record.id, f"task-{record.id}")
        return record.id

    def saved(self, prompt: str, file: str = "wan27/a.mp4") -> int:
        record_id = self.task(prompt)
        path = self.output / file
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, size=(640, 480), frames=8, fps=8)
        video = {"seconds": 1.0, "size": [64, 48]}
        record = replace(self.ledger.get(record_id), result_url=SIGNED, seed=3, file=file, video=video)
        self.ledger.record_result(record)
        self.ledger.record_saved(replace(record, file_size=path.stat().st_size, file_sha256=f"{record_id:064x}"))
        return record_id


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    for name in ("WAN27_CONNECTION", "WAN27_NOVITA_BASE_URL", *(each.key_variable for each in HOSTS.values())):
        monkeypatch.delenv(name, raising=False)
    made = Host(tmp_path)
    yield made
    made.stop()
    made.ledger.close()
