"""The routes of the remote service: submit, task result, balance."""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict, deque
from typing import Any

from aiohttp import web

from ..options import SandboxOptions
from ..responses import ResponseError, task_answer
from ..rules import parse_body
from ..store import Store
from ..tasks import Tasks

SUBMIT_PATH = "/v3/async/wan2.7-i2v"
RESULT_PATH = "/v3/async/task-result"
BALANCE_PATH = "/openapi/v1/billing/balance/detail"
_BAD_KEYS = {"bad-key": 401, "bad-key-403": 403}
_POOR_KEYS = {"no-balance": 400, "no-balance-403": 403}


class Service:
    """Handlers. Every key is valid, except bad-key and bad-key-403; no-balance and no-balance-403 cannot pay."""

    def __init__(self, store: Store, tasks: Tasks, options: SandboxOptions) -> None:
        self._store, self._tasks, self._options = store, tasks, options
        self._polls: dict[str, deque[float]] = defaultdict(deque)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes that the vendor documents."""
        return [
            web.post(SUBMIT_PATH, self.submit),
            web.get(RESULT_PATH, self.result),
            web.get(BALANCE_PATH, self.balance),
        ]

    async def submit(self, request: web.Request) -> web.Response:
        """Check a request and create its task."""
        raw = await request.read()
        key = _key(request)
        if request.content_type != "application/json":
            message = f"Content-Type must be application/json, got {request.content_type}"
            raise ResponseError(400, "INVALID_REQUEST_BODY", message)
        try:
            body = await asyncio.to_thread(parse_body, raw)
            if key in _POOR_KEYS:
                raise ResponseError(_POOR_KEYS[key], "BILLING_BALANCE_NOT_ENOUGH", "the balance is not enough")
            task = await asyncio.to_thread(self._tasks.create, body)
        except ValueError as problem:
            raise ResponseError(400, "INVALID_REQUEST_BODY", str(problem)) from None
        self._tasks.start(task)
        return web.json_response({"task_id": task["task_id"]})

    async def result(self, request: web.Request) -> web.Response:
        """Return the progress of a task, and the URL of its video once it is finished."""
        self._count_poll(_key(request))
        task_id = request.query.get("task_id", "")
        if not task_id:
            raise ResponseError(400, "INVALID_REQUEST_BODY", "task_id is required")
        task = self._store.task(task_id)
        if task is None:
            raise ResponseError(404, "TASK_NOT_FOUND", f"no task {task_id[:64]}")
        self._tasks.take_over(task)
        ttl = self._options.result_ttl_seconds
        return web.json_response(task_answer(task, video_url=self._video_url(request, task, ttl), ttl_seconds=ttl))

    async def balance(self, request: web.Request) -> web.Response:
        """Return 100 USD for every key that can pay, in units of 0.0001 USD."""
        amount = "0" if _key(request) in _POOR_KEYS else "1000000"
        fields = {"availableBalance": amount, "cashBalance": amount, "creditLimit": "0", "outstandingInvoices": "0"}
        return web.json_response(fields)

    def _video_url(self, request: web.Request, task: dict[str, Any], ttl_seconds: int) -> str:
        expires = int(time.time()) + ttl_seconds
        signature = self._store.sign(f"{task['task_id']}:{expires}")
        return f"{request.url.origin()}/result/{task['task_id']}.mp4?expires={expires}&signature={signature}"

    def _count_poll(self, key: str) -> None:
        limit = self._options.requests_per_minute
        if limit is None:
            return
        now, polls = time.monotonic(), self._polls[key]
        while polls and polls[0] <= now - 60:
            polls.popleft()
        if len(polls) >= limit:
            headers = {"Retry-After": str(math.ceil(polls[0] + 60 - now))}
            raise ResponseError(429, "RATE_LIMIT_EXCEEDED", "too many requests, try again later", headers=headers)
        polls.append(now)


def _key(request: web.Request) -> str:
    """Return the key of a request; refuse a request without a valid one."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise ResponseError(401, "MISSING_API_KEY", "send the header Authorization: Bearer KEY")
    if key in _BAD_KEYS:
        raise ResponseError(_BAD_KEYS[key], "INVALID_API_KEY", "the API key is not valid")
    return key
