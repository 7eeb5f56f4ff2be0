"""The routes of the remote service: submit, task result, balance."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import defaultdict, deque
from typing import Any

from aiohttp import web

from ..faults import Fault, Faults
from ..options import SandboxOptions
from ..responses import error, fault_answer, task_answer, too_many
from ..rules import BodyError, parse_body
from ..store import Store
from ..tasks import Tasks, fingerprint
from ..thread_pool import Pool

_BAD_KEYS = {
    "bad-key": (401, "INVALID_API_KEY", "the API key is not valid"),
    "bad-key-403": (403, "INVALID_API_KEY", "the API key is not valid"),
}
_POOR_KEYS = {"no-balance": 400, "no-balance-403": 403}
_SHOWN_CHARACTERS = 300


class Service:
    """Handlers. Keys: any is good, except bad-key and bad-key-403 (refused) and no-balance and no-balance-403."""

    def __init__(
        self, store: Store, tasks: Tasks, chores: Pool, faults: Faults, options: SandboxOptions, base_url: list[str]
    ) -> None:
        self._store, self._tasks, self._faults, self._options = store, tasks, faults, options
        self._base_url, self._chores = base_url, chores
        self._polls: dict[str, deque[float]] = defaultdict(deque)

    def routes(self) -> list[web.RouteDef]:
        """Everything the vendor documents."""
        return [
            web.post("/v3/async/wan2.7-i2v", self.submit),
            web.get("/v3/async/task-result", self.result),
            web.get("/openapi/v1/billing/balance/detail", self.balance),
        ]

    # --- submit

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Take a request. Whatever happens to it stands in the log before the answer leaves."""
        entry: dict[str, Any] = {"time": time.time(), "accepted": False, "task_id": None, "fault": None, "body": None}
        body, refusal = await self._checked(request, entry)
        fault = self._faults.pick("submit", str((body or {}).get("prompt", "")))
        entry["fault"] = fault.kind if fault else None
        answer = _first(_stopped(fault), refusal)
        if answer is None:
            assert body is not None
            answer = await self._accept(body, entry)
        lost = fault is not None and fault.kind in ("lost_answer", "refuse")
        if fault is not None and fault.kind == "server_error":
            answer = error(500, "CREATE_TASK_FAILED", "set by a test")
        self._store.log_post({**entry, "status": None if lost else answer.status})
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.values["seconds"])
        if lost and request.transport is not None:
            request.transport.abort()
        return answer

    async def _checked(
        self, request: web.Request, entry: dict[str, Any]
    ) -> tuple[dict[str, Any] | None, web.Response | None]:
        """The body, and what is answered instead of taking it, if anything."""
        try:
            raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return None, error(413, "INVALID_REQUEST_BODY", "the body is too large")
        body, refusal = await self._chores.run(lambda: self._read(raw, entry))
        key, unauthorized = _key(request)
        refusal = _first(unauthorized, _content_type(request), refusal)
        if refusal is None and key in _POOR_KEYS:
            refusal = error(_POOR_KEYS[key], "BILLING_BALANCE_NOT_ENOUGH", "the balance is not enough")
        return body, refusal

    def _read(self, raw: bytes, entry: dict[str, Any]) -> tuple[dict[str, Any] | None, web.Response | None]:
        try:
            body = parse_body(raw)
            entry.update(fingerprint=fingerprint(self._store, body), body=_shown(body))
        except (BodyError, ValueError) as problem:
            entry.update(fingerprint=None, body=raw[:_SHOWN_CHARACTERS].decode(errors="replace"))
            return None, error(400, "INVALID_REQUEST_BODY", str(problem))
        return body, None

    async def _accept(self, body: dict[str, Any], entry: dict[str, Any]) -> web.Response:
        fault = self._faults.pick("task", str(body.get("prompt", "")))
        fails = fault.values["reason"] if fault and fault.kind == "fail" else ""
        longer = fault.values["seconds"] if fault and fault.kind == "slow" else 0.0
        task = await self._chores.run(lambda: self._tasks.create(body, fail_with=fails, extra_seconds=longer))
        entry.update(accepted=True, task_id=task["task_id"])
        self._tasks.start(task)
        return web.json_response({"task_id": task["task_id"]})

    # --- result

    async def result(self, request: web.Request) -> web.StreamResponse:
        """How far a task is."""
        key, refusal = _key(request)
        if refusal is None:
            refusal = self._too_often(key)
        if refusal is not None:
            return refusal
        task_id = request.query.get("task_id", "")
        if not task_id:
            return error(400, "INVALID_REQUEST_BODY", "task_id is required")
        task = self._store.task(task_id)
        if task is None:
            return error(404, "TASK_NOT_FOUND", f"there is no task {task_id[:64]}")
        self._tasks.look_after(task)
        fault = self._faults.pick("result", task["request"].get("prompt", ""))
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.values["seconds"])
            task = self._store.task(task_id) or task
        answer = fault_answer(fault, failed="GET_RESULT_FAILED")
        if answer is not None:
            return answer
        if fault is not None and fault.kind == "cut" and request.transport is not None:
            request.transport.abort()
        return _bent(fault, task_answer(task, video_url=self._video_url(task), ttl_seconds=self._ttl))

    @property
    def _ttl(self) -> int:
        return self._options.result_ttl_seconds

    def _video_url(self, task: dict[str, Any]) -> str:
        expires = int(time.time()) + self._ttl
        signature = self._store.sign(f"{task['task_id']}:{expires}")
        path = f"/result/{task['task_id']}.mp4"
        return f"{self._base_url[0]}{path}?expires={expires}&signature={signature}"

    def _too_often(self, key: str) -> web.Response | None:
        limit = self._options.requests_per_minute
        if limit is None:
            return None
        now, polls = time.monotonic(), self._polls[key]
        while polls and polls[0] <= now - 60:
            polls.popleft()
        if len(polls) >= limit:
            return too_many(str(math.ceil(polls[0] + 60 - now)))
        polls.append(now)
        return None

    # --- balance

    async def balance(self, request: web.Request) -> web.Response:
        """100 USD, whatever was made; nothing for the keys without balance. In units of 0.0001 USD."""
        key, refusal = _key(request)
        if refusal is not None:
            return refusal
        amount = "0" if key in _POOR_KEYS else "1000000"
        fields = {"availableBalance": amount, "cashBalance": amount, "creditLimit": "0", "outstandingInvoices": "0"}
        return web.json_response(fields)


def _first(*answers: web.Response | None) -> web.Response | None:
    """The first answer there is. Not by `or`: answers of some releases of aiohttp are false."""
    return next((answer for answer in answers if answer is not None), None)


def _stopped(fault: Fault | None) -> web.Response | None:
    """The answer where a fault keeps a request from being taken."""
    if fault is None or (fault.kind == "server_error" and fault.values["made"]):
        return None
    if fault.kind == "refuse":
        return web.Response(status=503)
    return fault_answer(fault, failed="CREATE_TASK_FAILED")


def _bent(fault: Fault | None, answer: dict[str, Any]) -> web.Response:
    """The answer on a task, as a fault distorts it."""
    kind = fault.kind if fault else ""
    if kind == "broken_json":
        text = json.dumps(answer)
        return web.Response(text=text[: len(text) // 2], content_type="application/json")
    if kind == "status" and fault:
        answer["task"]["status"] = fault.values["value"]
        answer["videos"] = []
    for video in answer["videos"]:
        if kind == "missing_ttl":
            del video["video_url_ttl"]
        elif kind == "zero_ttl":
            video["video_url_ttl"] = "0"
        elif kind == "integer_ttl":
            video["video_url_ttl"] = int(video["video_url_ttl"])
    return web.json_response({"data": answer} if kind == "data_wrapper" else answer)


def _key(request: web.Request) -> tuple[str, web.Response | None]:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        return "", error(401, "MISSING_API_KEY", "send the header Authorization: Bearer KEY")
    return key, error(*_BAD_KEYS[key]) if key in _BAD_KEYS else None


def _content_type(request: web.Request) -> web.Response | None:
    if request.content_type == "application/json":
        return None
    return error(400, "INVALID_REQUEST_BODY", f"Content-Type must be application/json, got {request.content_type}")


def _shown(body: dict[str, Any]) -> dict[str, Any]:
    """The body for the log, without megabytes of inline pictures."""
    return {
        name: value[:_SHOWN_CHARACTERS] + "..." if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS else value
        for name, value in body.items()
    }
