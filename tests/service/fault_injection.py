"""What the fake service puts around the sandbox's routes: faults, gates, and a record of what arrived."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from nodes.sandbox.fetch import UPLOAD_PATH, decode_data_uri, upload_token
from nodes.sandbox.responses import ResponseError
from nodes.sandbox.routes.service import BALANCE_PATH, RESULT_PATH, SUBMIT_PATH
from nodes.sandbox.rules import MEDIA, parse_body
from nodes.sandbox.store import Store
from tests.service.faults import Fault, Faults
from tests.service.video_sender import PAGE, VideoSender, closed, until_set

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_SHOWN_CHARACTERS = 300
_ERRORS = {
    "not_found": (404, "TASK_NOT_FOUND"),
    "unauthorized": (403, "INVALID_API_KEY"),
    "task_failed": (500, "TASK_FAILED"),
}


class FaultInjection:
    """A middleware for the sandbox's application, with what tests set and read."""

    store: Store

    def __init__(self) -> None:
        self._faults = Faults()
        self._posts: list[dict[str, Any]] = []
        self._videos = VideoSender()
        self.count: Counter[str] = Counter()
        """Requests that arrived, by place: submit, result, download, upload, balance."""
        self.download_headers: list[dict[str, str]] = []
        self.signatures: set[str] = set()
        """The signatures of all links to videos that were opened. No log may contain them."""
        self.credit_usd, self.usd_per_task = 100.0, 0.0
        """What the account held at first, and what each accepted task takes from it."""
        self.arrived = threading.Event()
        """Set when a POST has arrived and its task was made."""
        self.answer = threading.Event()
        """POSTs are answered while it is set."""
        self.finish = threading.Event()
        """Tasks are finished while it is set."""
        self.serve, self.half_sent = self._videos.serve, self._videos.half_sent
        """Videos are sent in full while `serve` is set; until then the first half."""
        self._gates = (self.answer, self.finish, self.serve)
        self.reset()

    def faults(self, *faults: dict[str, Any]) -> None:
        """Set these faults and remove all others; tests/service/faults.py lists them."""
        self._faults.set(faults)

    def fault_hits(self) -> list[dict[str, Any]]:
        """Return the faults with how often each has hit."""
        return self._faults.show()

    def pick(self, at: str, task: dict[str, Any]) -> Fault | None:
        """Return the fault that hits a request about a task, if any."""
        return self._faults.pick(at, task["request"].get("prompt", ""))

    def posts(self) -> list[dict[str, Any]]:
        """Return every submit that arrived, oldest first.

        Each has time, status (None: no answer was sent), accepted, task_id, fault, fingerprint (media by content) and
        body. It is recorded before its answer leaves.
        """
        return list(self._posts)

    def accepted(self) -> list[str]:
        """Return the ids of the tasks that were made, oldest first."""
        return [post["task_id"] for post in self.posts() if post["accepted"]]

    def reset(self) -> None:
        """Forget the posts and the faults, and open the gates."""
        self._posts.clear()
        self.arrived.clear()
        self.half_sent.clear()
        self.credit_usd, self.usd_per_task = 100.0, 0.0
        self.faults()
        self.open_gates()

    def open_gates(self) -> None:
        """Let everything go on that is held back."""
        for gate in self._gates:
            gate.set()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle a request, with the fault that hits it."""
        for place, method, path, handle in (
            ("submit", "POST", SUBMIT_PATH, self._submit),
            ("result", "GET", RESULT_PATH, self._result),
            ("download", "GET", "/result/", self._download),
            ("upload", "PUT", UPLOAD_PATH, self._upload),
            ("balance", "GET", BALANCE_PATH, self._balance),
        ):
            if request.method == method and request.path.startswith(path):
                self.count[place] += 1
                return await handle(request, handler)
        return await handler(request)

    async def _submit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        entry: dict[str, Any] = {"time": time.time(), "accepted": False, "task_id": None, "fault": None, "status": None}
        try:
            raw = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            self._posts.append({**entry, "status": error.status, "body": None, "fingerprint": None})
            raise
        prompt = self._describe(raw, entry)
        fault = self._faults.pick("submit", prompt)
        entry["fault"] = fault.kind if fault else None
        answer: web.StreamResponse | None = None
        if fault is None or fault.kind in _TASK_IS_MADE or fault.values.get("made"):
            answer = await _handled(request, handler)
            if answer.status == 200:
                entry.update(accepted=True, task_id=_json_of(answer)["task_id"])
        if fault is not None:
            answer = _submit_answer(fault, answer)
        entry["status"] = None if answer is None else answer.status
        self._posts.append(entry)
        self.arrived.set()
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.values["seconds"])
        await until_set(self.answer)
        return closed(request) if answer is None else answer

    def _describe(self, raw: bytes, entry: dict[str, Any]) -> str:
        """Add the body of a request and its fingerprint to its entry; return its prompt."""
        try:
            body = parse_body(raw)
            entry.update(fingerprint=_fingerprint(self.store, body), body=_shortened(body))
        except ValueError:
            entry.update(fingerprint=None, body=raw[:_SHOWN_CHARACTERS].decode(errors="replace"))
            return ""
        return str(body.get("prompt", ""))

    async def _result(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        task = self.store.task(request.query.get("task_id", ""))
        fault = None if task is None else self.pick("result", task)
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.values["seconds"])
        answer = None if fault is None else _error_answer(fault, "GET_RESULT_FAILED")
        if answer is None:
            answer = await handler(request)
        if fault is not None and fault.kind == "cut":
            return closed(request)
        if answer.status != 200:
            return answer
        result = _json_of(answer)
        if not self.finish.is_set():
            _change_status(result, "TASK_STATUS_PROCESSING")
        return web.json_response(result) if fault is None else _changed_result(fault, result)

    async def _upload(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = self._faults.pick("upload")
        answer = None if fault is None else _error_answer(fault, "UPLOAD_FAILED")
        if answer is not None:
            return answer
        answer = await handler(request)
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.values["seconds"])
        return answer

    async def _balance(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = self._faults.pick("balance")
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.values["seconds"])
        answer = None if fault is None else _error_answer(fault, "GET_BALANCE_FAILED")
        if answer is None:
            answer = await handler(request)  # refuses a wrong key
            fields = _json_of(answer)
            if fields.get("availableBalance") not in (None, "0"):  # a key that can pay
                usd = self.credit_usd - self.usd_per_task * len(self.accepted())
                answer = web.json_response({**fields, "availableBalance": str(round(usd * 10_000))})
        return answer

    async def _download(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.download_headers.append(dict(request.headers))
        self.signatures.add(request.query.get("signature", ""))
        answer = await handler(request)
        if not isinstance(answer, web.FileResponse):
            return answer
        task = self.store.task(request.match_info["task_id"])
        assert task is not None
        fault = self.pick("download", task)
        if fault is None and self.serve.is_set():
            return answer
        data = self.store.result(task["result"]).read_bytes()
        return await self._videos.send(request, data, fault)


_TASK_IS_MADE = ("ok", "lost_answer", "slow", "page", "no_id")


def _submit_answer(fault: Fault, answer: web.StreamResponse | None) -> web.StreamResponse | None:
    """Return the answer to a submit with a fault; None: the connection is closed."""
    if fault.kind in ("lost_answer", "refuse"):
        return None
    if fault.kind == "page":
        return web.Response(text=PAGE, content_type="text/html")
    if fault.kind == "no_id":
        return web.json_response({"task_id": ""})
    refusal = _error_answer(fault, "CREATE_TASK_FAILED")
    return answer if refusal is None else refusal


def _error_answer(fault: Fault, failed: str) -> web.Response | None:
    """Return the answer of the faults that are an error; `failed` is the reason of the 500."""
    values = fault.values
    if fault.kind == "rate_limit":
        wait = values["retry_after"]
        headers = {} if wait is None else {"Retry-After": str(wait)}
        return ResponseError(429, "RATE_LIMIT_EXCEEDED", "set by a test", headers=headers).response()
    if fault.kind == "server_error":
        return ResponseError(500, failed, "set by a test").response()
    if fault.kind == "unavailable":
        return web.Response(status=503, text="<html><body>503 Service Unavailable</body></html>")
    if fault.kind in _ERRORS:
        return ResponseError(*_ERRORS[fault.kind], "set by a test").response()
    if fault.kind == "error" and values["nested"]:
        body = {"error": {"message": values["message"], "code": values["reason"]}}
        return web.json_response(body, status=values["status"])
    if fault.kind == "error":
        return ResponseError(values["status"], values["reason"], values["message"]).response()
    return None


def _changed_result(fault: Fault, result: dict[str, Any]) -> web.Response:
    """Return the answer about a task with a fault."""
    kind, values = fault.kind, fault.values
    if kind == "broken_json":
        text = json.dumps(result)
        return web.Response(text=text[: len(text) // 2], content_type="application/json")
    if kind in ("status", "processing"):
        _change_status(result, values.get("value", "TASK_STATUS_PROCESSING"))
    if kind == "processing":  # as the sandbox reports a task that takes longer than expected
        task = result["task"]
        task["progress_percent"], task["eta"] = min(99, task["progress_percent"]), max(1, task["eta"])
    if kind == "edit" and values["extra"] is not None:
        result["extra"] = values["extra"]
    for video in result["videos"]:
        if kind == "missing_ttl":
            del video["video_url_ttl"]
        elif kind == "edit" and values["ttl"] is not None:
            video["video_url_ttl"] = values["ttl"]
    return web.json_response({"data": result} if kind == "data_wrapper" else result)


def _change_status(result: dict[str, Any], status: str) -> None:
    result["task"]["status"] = status
    result["videos"] = []


async def _handled(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ResponseError as refusal:
        return refusal.response()


def _json_of(answer: web.StreamResponse) -> dict[str, Any]:
    assert isinstance(answer, web.Response)
    assert isinstance(answer.body, bytes)
    found: dict[str, Any] = json.loads(answer.body)
    return found


def _fingerprint(store: Store, body: dict[str, Any]) -> str:
    """Return the identity of a request: media by content if the sandbox has them, by URL otherwise."""
    named = dict(body)
    for field in MEDIA:
        url = named.get(field, "")
        entry = store.upload(upload_token(url) or "")
        if entry is not None:
            named[field] = f"sha256:{entry['sha256']}"
        elif url[:5].lower() == "data:":
            named[field] = f"sha256:{hashlib.sha256(decode_data_uri(url)).hexdigest()}"
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()


def _shortened(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body without megabytes of inline images."""
    return {
        name: value[:_SHOWN_CHARACTERS] + "..." if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS else value
        for name, value in body.items()
    }
