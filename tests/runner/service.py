"""A service that does exactly what a test says, over real HTTP on loopback, and keeps count of everything."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from aiohttp import web


def mp4(size: int = 50_000, seed: int = 0) -> bytes:
    """Bytes with the outermost boxes of an mp4."""
    payload = Random(seed).randbytes(size)
    boxes = ((b"ftyp", b"isom\0\0\2\0isomiso2"), (b"moov", b"\0" * 64), (b"mdat", payload))
    return b"".join((len(body) + 8).to_bytes(4, "big") + kind + body for kind, body in boxes)


@dataclass
class FakeTask:
    task_id: str
    body: dict[str, Any]
    status: str = "TASK_STATUS_SUCCEED"
    reason: str = ""
    content: bytes = b""
    polls: int = 0
    downloads: int = 0


@dataclass
class FakeService:
    """Faults are lists of names, taken from the front for each request; then everything works.

    submit: ok, 500, 503, 400, 408, 429, drop (made, no answer), refuse (not made, no answer), garbage, no_id
    poll:   ok, 500, 429, drop, garbage, not_found, processing, unauthorized, task_failed
    get:    ok, 500, cut, full (Range ignored), 403, page (a web page), half, redirect
    """

    submit: list[str] = field(default_factory=list)
    poll: list[str] = field(default_factory=list)
    get: list[str] = field(default_factory=list)
    random: Random | None = None
    """With it, every tenth poll or so and every third download goes wrong."""
    tasks: dict[str, FakeTask] = field(default_factory=dict)
    count: Counter[str] = field(default_factory=Counter)
    headers_of_downloads: list[dict[str, str]] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    """Set when a POST has arrived."""
    answer: threading.Event = field(default_factory=threading.Event)
    """POSTs are answered while it is set."""
    finish: threading.Event = field(default_factory=threading.Event)
    """Tasks are finished while it is set."""
    serve: threading.Event = field(default_factory=threading.Event)
    """Videos are sent in full while it is set; until then the first half."""
    half_sent: threading.Event = field(default_factory=threading.Event)
    ttl: object = "3600"
    extra: dict[str, Any] = field(default_factory=lambda: {"seed": "77"})
    video_url: str = ""
    base_url: str = ""

    def __post_init__(self) -> None:
        for event in (self.answer, self.finish, self.serve):
            event.set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def posts(self) -> int:
        """POSTs that made a task."""
        return len(self.tasks)

    def start(self, port: int = 0) -> FakeService:
        self._port = port
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def stop(self) -> None:
        for event in (self.answer, self.finish, self.serve):
            event.set()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.add_routes(
            [
                web.post("/v3/async/wan2.7-i2v", self._on_submit),
                web.get("/v3/async/task-result", self._on_poll),
                web.get("/result/{name}", self._on_get),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._port).start()
        self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    def _next(self, faults: list[str], chance: float) -> str:
        if faults:
            return faults.pop(0)
        if self.random is not None and self.random.random() < chance:
            return self.random.choice(["500", "drop", "429"] if chance < 0.3 else ["500", "cut", "cut", "full"])
        return "ok"

    async def _until(self, event: threading.Event) -> None:
        while not event.is_set():
            await asyncio.sleep(0.01)

    async def _on_submit(self, request: web.Request) -> web.StreamResponse:
        self.count["submit"] += 1
        fault = self._next(self.submit, 0.0)
        body = await request.json()
        if fault in ("ok", "drop", "500 made", "garbage", "no_id", "408 made"):
            task = FakeTask(f"task-{len(self.tasks):04d}", body)
            task.content = mp4(seed=len(self.tasks))
            self.tasks[task.task_id] = task
        self.arrived.set()
        if fault in ("drop", "refuse"):
            return _dropped(request)
        await self._until(self.answer)
        if fault == "ok":
            return web.json_response({"task_id": task.task_id})
        if fault == "garbage":
            return web.Response(text="<html>")
        if fault == "no_id":
            return web.json_response({"task_id": ""})
        return _error(int(fault.split()[0]), *fault.split()[1:2])

    async def _on_poll(self, request: web.Request) -> web.StreamResponse:
        self.count["poll"] += 1
        task = self.tasks.get(request.query["task_id"])
        fault = self._next(self.poll, 0.1)
        if fault == "drop":
            return _dropped(request)
        if fault == "garbage":
            return web.Response(text="{")
        if task is None or fault == "not_found":
            return _error(404, "TASK_NOT_FOUND")
        if fault == "unauthorized":
            return _error(403, "INVALID_API_KEY")
        if fault == "task_failed":
            return _error(500, "TASK_FAILED")
        if fault.isdigit():
            return _error(int(fault))
        task.polls += 1
        status = task.status if self.finish.is_set() and fault == "ok" else "TASK_STATUS_PROCESSING"
        url = self.video_url or f"{self.base_url}/result/{task.task_id}.mp4?signature=very-secret"
        done = status == "TASK_STATUS_SUCCEED"
        return web.json_response(
            {
                "extra": self.extra,
                "task": {"task_id": task.task_id, "status": status, "reason": task.reason, "eta": 0},
                "videos": [{"video_url": url, "video_url_ttl": self.ttl}] if done else [],
            }
        )

    async def _on_get(self, request: web.Request) -> web.StreamResponse:
        self.count["get"] += 1
        self.headers_of_downloads.append(dict(request.headers))
        task = self.tasks[request.match_info["name"].removesuffix(".mp4")]
        task.downloads += 1
        fault = self._next(self.get, 0.34)
        if fault.isdigit():
            return web.Response(status=int(fault))
        if fault == "redirect":
            return web.Response(status=302, headers={"Location": f"{request.path}?signature=very-secret-too"})
        if fault == "page":
            return web.Response(text="<html>This link has expired.", content_type="text/html")
        if fault == "half":
            return web.Response(body=task.content[: len(task.content) // 2], headers={"Connection": "close"})
        start = request.http_range.start or 0
        if fault == "full":
            start = 0
        total = len(task.content)
        part = task.content[start:]
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(part)
        response.headers["ETag"] = f'"{task.task_id}"'
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        await response.prepare(request)
        if fault == "cut":
            await response.write(part[: (self.random or Random(start)).randrange(1, max(len(part), 2))])
            await asyncio.sleep(0)
            return _dropped(request)
        await response.write(part[: len(part) // 2])
        if not self.serve.is_set():
            self.half_sent.set()
            await self._until(self.serve)
        await response.write(part[len(part) // 2 :])
        return response


def _dropped(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def _error(status: int, reason: str = "") -> web.Response:
    reasons = {400: "ILLEGAL_PROMPT", 429: "RATE_LIMIT_EXCEEDED", 500: "CREATE_TASK_FAILED"}
    body = {"code": status, "reason": reason or reasons.get(status, ""), "message": "said by a test", "metadata": {}}
    headers = {"Retry-After": "0"} if status == 429 else {}
    return web.Response(status=status, text=json.dumps(body), content_type="application/json", headers=headers)
