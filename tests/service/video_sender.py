"""How the fake services send videos: whole, by Range, or with a fault of the place `download`."""

from __future__ import annotations

import asyncio
import threading
from random import Random

from aiohttp import web

from tests.service.faults import Fault

PAGE = "<html><body>This is a web page.</body></html>"


class VideoSender:
    """Sends the videos of one service."""

    def __init__(self) -> None:
        self.serve = threading.Event()
        """Videos are sent in full while it is set; until then the first half."""
        self.serve.set()
        self.half_sent = threading.Event()
        self._random = Random(0)

    async def send(self, request: web.Request, data: bytes, fault: Fault | None) -> web.StreamResponse:
        """Send a video, or what its fault makes of it."""
        refusal = None if fault is None else _refusal(fault, request, data)
        return await self._stream(request, data, fault) if refusal is None else refusal

    async def _stream(self, request: web.Request, data: bytes, fault: Fault | None) -> web.StreamResponse:
        """Send a video, shortened or slowed down by its fault."""
        kind, values = (fault.kind, fault.values) if fault else ("", {})
        start = 0 if kind == "ignore_range" else request.http_range.start or 0
        if start >= len(data):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        body = data[start:]
        response = web.StreamResponse(status=206 if start else 200)
        response.content_type = "video/mp4"
        response.content_length = len(body) + (values["by"] if kind == "wrong_length" else 0)
        response.headers["Accept-Ranges"] = "bytes"
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        await response.prepare(request)
        if kind == "cut":
            body = body[: self._random.randrange(len(body)) if values["bytes"] is None else values["bytes"]]
        half = len(body) // 2
        for offset in range(0, half, chunk := values.get("chunk", half or 1)):
            await response.write(body[offset : min(offset + chunk, half)])
            await asyncio.sleep(values.get("seconds", 0))
        if not self.serve.is_set():
            self.half_sent.set()
            await until_set(self.serve)
        for offset in range(half, len(body), chunk):
            await response.write(body[offset : offset + chunk])
            await asyncio.sleep(values.get("seconds", 0))
        if kind in ("cut", "wrong_length") and request.transport is not None:
            # close, not abort: what was written has to arrive
            request.transport.close()
        return response


def _refusal(fault: Fault, request: web.Request, data: bytes) -> web.Response | None:
    """Return the answer of the faults of a download that send something other than the video."""
    if fault.kind == "expired":
        return web.Response(status=403, text="AccessDenied: Request has expired")
    if fault.kind in ("server_error", "unavailable"):
        return web.Response(status=500 if fault.kind == "server_error" else 503, text="SlowDown")
    if fault.kind == "redirect":
        return web.Response(status=302, headers={"Location": fault.values["url"] or str(request.rel_url)})
    if fault.kind == "garbage":
        return web.Response(body=b"this is not video" * (len(data) // 17), content_type="video/mp4")
    if fault.kind == "page":
        return web.Response(text=PAGE, content_type="text/html")
    if fault.kind == "half":
        return web.Response(body=data[: len(data) // 2], headers={"Connection": "close"})
    return None


def closed(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def until_set(event: threading.Event) -> None:
    while not event.is_set():
        await asyncio.sleep(0.01)
