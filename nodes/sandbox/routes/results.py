"""GET /result/ID.mp4 returns a finished video, by a signed URL that expires, as the vendor's storage does."""

from __future__ import annotations

import hmac
import time

from aiohttp import web

from ..store import Store


class Results:
    """Handler of the storage of results."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/result/{task_id}.mp4", self.get)]

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Return the video, whole or by Range."""
        if "Authorization" in request.headers:
            # storages refuse a second authorization on a signed URL; it also reveals a client that leaks its key
            return web.Response(status=400, text="InvalidArgument: only one authorization mechanism is allowed")
        task_id = request.match_info["task_id"]
        if not self._signed(task_id, request.query.get("expires", ""), request.query.get("signature", "")):
            return web.Response(status=403, text="AccessDenied: Request has expired")
        task = self._store.task(task_id)
        path = self._store.result(task["result"]) if task and task["outcome"] == "succeed" else None
        if path is None or not path.exists():
            return web.Response(status=404, text="NoSuchKey")
        return web.FileResponse(path, headers={"Content-Type": "video/mp4"})

    def _signed(self, task_id: str, expires: str, signature: str) -> bool:
        expected = self._store.sign(f"{task_id}:{expires}")
        return hmac.compare_digest(expected.encode(), signature.encode()) and int(expires) >= time.time()
