"""GET /result/ID.mp4 gives a finished video away, by a signed URL that expires, as the vendor's storage does."""

from __future__ import annotations

import asyncio
import hmac
import time
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import web

from ..faults import Fault, Faults
from ..store import Store

_CHUNK = 1 << 16


class Results:
    """Handler of the storage of results."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store, self._faults = store, faults
        self._random = Random(0)  # noqa: S311 - where a test cuts a download

    def routes(self) -> list[web.RouteDef]:
        """The one route there is."""
        return [web.get("/result/{task_id}.mp4", self.get)]

    async def get(self, request: web.Request) -> web.StreamResponse:
        """The video, whole or by Range."""
        if "Authorization" in request.headers:
            # signed URLs of the usual storages answer so; and it shows a client that gives its key away
            return web.Response(status=400, text="InvalidArgument: only one authorization mechanism is allowed")
        task_id = request.match_info["task_id"]
        if not self._signed(task_id, request.query.get("expires", ""), request.query.get("signature", "")):
            return _denied()
        task = self._store.task(task_id)
        path = self._store.result(task["result"]) if task and task["outcome"] == "succeed" else None
        if task is None or path is None or not path.exists():
            return web.Response(status=404, text="NoSuchKey")
        fault = self._faults.pick("download", task["request"].get("prompt", ""))
        if fault is not None:
            return await self._faulty(request, path, fault)
        return web.FileResponse(path, headers={"Content-Type": "video/mp4"})

    def _signed(self, task_id: str, expires: str, signature: str) -> bool:
        if not expires.isdecimal() or len(expires) > 12 or int(expires) < time.time():
            return False
        return hmac.compare_digest(self._store.sign(f"{task_id}:{expires}"), signature)

    async def _faulty(self, request: web.Request, path: Path, fault: Fault) -> web.StreamResponse:
        values = fault.values
        if fault.kind == "expired":
            return _denied()
        if fault.kind == "unavailable":
            return web.Response(status=503, text="SlowDown")
        if fault.kind == "redirect":
            return web.Response(status=302, headers={"Location": values["url"]})
        data = await asyncio.to_thread(path.read_bytes)
        if fault.kind == "garbage":
            return web.Response(body=b"this is no video " * (len(data) // 17), content_type="video/mp4")
        start = 0 if fault.kind == "ignore_range" else _start(request, len(data))
        if start >= len(data):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        return await self._send(request, data, start, fault)

    async def _send(self, request: web.Request, data: bytes, start: int, fault: Fault) -> web.StreamResponse:
        values: dict[str, Any] = fault.values
        body = data[start:]
        missing = values["by"] if fault.kind == "wrong_length" else 0
        response = web.StreamResponse(status=206 if start else 200)
        response.content_type = "video/mp4"
        response.content_length = len(body) + missing
        response.headers["Accept-Ranges"] = "bytes"
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        await response.prepare(request)
        if fault.kind == "cut":
            wanted = values["bytes"]
            body = body[: self._random.randrange(len(body)) if wanted is None else wanted]
        chunk = values["chunk"] if fault.kind == "slow" else _CHUNK
        for offset in range(0, len(body), chunk):
            await response.write(body[offset : offset + chunk])
            if fault.kind == "slow":
                await asyncio.sleep(values["seconds"])
        if fault.kind in ("cut", "wrong_length") and request.transport is not None:
            # close, not abort: what was written is to arrive
            request.transport.close()
        return response


def _start(request: web.Request, size: int) -> int:
    try:
        start = request.http_range.start or 0
    except ValueError:
        return 0
    return max(0, size + start) if start < 0 else start


def _denied() -> web.Response:
    return web.Response(status=403, text="AccessDenied: Request has expired")
