"""fal: a queue, and three more origins for uploads, files and the list."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any, ClassVar

from aiohttp import web

from tests.hosts.stand_in import ENDED, Arrival, Mistake, Route, StandIn, Task, iso

ENDPOINT = "fal-ai/wan/v2.7/image-to-video"
_REQUESTS = "/fal-ai/wan/requests/{id}"
_ERRORS = {
    401: "Invalid credentials",
    402: "Exhausted balance",
    403: "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing.",
    404: "Application not found",
    429: "Too many requests",
    500: "Internal server error",
}


class Fal(StandIn):
    name = "fal"
    key_variable = "FAL_KEY"
    scheme = "Key"
    origins: ClassVar = {
        "api": True,
        "rest": True,
        "list": True,
        "storage": False,
        "files": False,
        "videos": False,
        "other": False,
    }
    settings: ClassVar = {"base_url": "api", "upload_url": "rest", "list_url": "list"}
    names: ClassVar = {
        **{name: name for name in ("prompt", "negative_prompt", "resolution", "duration", "seed", "image_url")},
        "enable_prompt_expansion": "prompt_extend",
        "end_image_url": "last_frame_url",
        "video_url": "first_clip_url",
        "audio_url": "driving_audio_url",
    }
    frames: ClassVar = {
        "prompt": "a walk",
        "negative_prompt": "rain",
        "image_url": "https://x.test/first.png",
        "end_image_url": "https://x.test/last.png",
        "audio_url": "https://x.test/voice.mp3",
        "resolution": "720p",
        "duration": 5,
        "seed": 7,
        "enable_prompt_expansion": True,
    }
    continuation: ClassVar = {
        "prompt": "and on",
        "video_url": "https://x.test/clip.mp4",
        "end_image_url": "https://x.test/last.png",
        "resolution": "1080p",
        "duration": 15,
        "seed": 0,
        "enable_prompt_expansion": False,
    }
    resolutions = ("720p", "1080p")
    link_seconds = 24 * 3600
    upload_seconds = 24 * 3600
    lists = True
    cancels = ("queued",)

    def reset(self) -> None:
        super().reset()
        self.urls_at = "api"
        """The origin that the answer to a submit names for the next calls. It should be the one submitted to."""
        self.balance_needs_admin = False
        self._initiated: dict[str, tuple[str, str, str, int]] = {}

    def routes(self) -> list[Route]:
        return [
            Route("api", "submit", "POST", f"/{ENDPOINT}", self.submit),
            Route("api", "result", "GET", f"{_REQUESTS}/status", self.status),
            Route("api", "response", "GET", _REQUESTS, self.response),
            Route("api", "cancel", "PUT", f"{_REQUESTS}/cancel", self.cancel),
            Route("list", "list", "GET", "/v1/models/requests/by-endpoint", self.list),
            Route("list", "balance", "GET", "/v1/account/billing", self.balance),
            Route("rest", "initiate", "POST", "/storage/upload/initiate", self.initiate),
            Route("storage", "upload", "PUT", "/{token}", self.upload),
            self.video_route(),
        ]

    def error(self, status: int, message: str = "set by a test") -> web.Response:
        detail: Any = _ERRORS.get(status, message)
        if status == 422:
            detail = [{"loc": ["body", "image_url"], "msg": message, "type": "value_error"}]
        return web.json_response({"detail": detail}, status=status)

    def submit(self, arrival: Arrival) -> web.Response:
        body = arrival.json
        task = self.make(body, body)
        base = f"{self.urls[self.urls_at]}{_REQUESTS.format(id=task.id)}"
        urls = {"status_url": f"{base}/status", "response_url": base, "cancel_url": f"{base}/cancel"}
        return web.json_response({"request_id": task.id, "status": "IN_QUEUE", "queue_position": 0, **urls})

    def status(self, arrival: Arrival) -> web.Response:
        task = self.tasks.get(arrival.match["id"])
        if task is None:
            return web.json_response({"detail": "Request not found"}, status=404)
        state = self.look(task)
        if state not in ENDED:
            return web.json_response({"status": "IN_QUEUE" if state == "queued" else "IN_PROGRESS"}, status=202)
        answer: dict[str, Any] = {"status": "COMPLETED", "request_id": task.id}
        if state == "failed":
            answer |= {"error": task.reason, "error_type": "content_policy_violation"}
        if state == "canceled":
            answer |= {"error": "Request was cancelled", "error_type": "client_cancelled"}
        return web.json_response(answer)

    def response(self, arrival: Arrival) -> web.Response:
        task = self.tasks.get(arrival.match["id"])
        if task is None:
            return web.json_response({"detail": "Request not found"}, status=404)
        if task.state not in ENDED:
            return web.json_response({"detail": "Request is still in progress"}, status=400)
        if task.state != "done":
            detail = [{"loc": ["body", "prompt"], "msg": task.reason, "type": "content_policy_violation"}]
            return web.json_response({"detail": detail}, status=422, headers={"x-fal-error-type": detail[0]["type"]})
        return web.json_response(self._output(task))

    def _output(self, task: Task) -> dict[str, Any]:
        return {"video": {"url": self.link(task)}, "seed": task.inputs.get("seed", 1), "actual_prompt": "waves"}

    def cancel(self, arrival: Arrival) -> web.Response:
        task = self.tasks.get(arrival.match["id"])
        if task is None:
            return web.json_response({"status": "NOT_FOUND"}, status=404)
        if task.state in ENDED:
            return web.json_response({"status": "ALREADY_COMPLETED"}, status=400)
        if task.state == "queued":
            self.cancel_task(task)
        # One that runs is only asked to stop, and this model does not.
        return web.json_response({"status": "CANCELLATION_REQUESTED"}, status=202)

    def list(self, arrival: Arrival) -> web.Response:
        query = arrival.query
        if unknown := set(query) - {"endpoint_id", "start", "end", "limit", "expand", "cursor", "status", "sort_by"}:
            raise Mistake(f"the list has no {unknown}")
        if query.get("endpoint_id") != ENDPOINT or not 1 <= int(query.get("limit", "50")) <= 100:
            raise Mistake(f"the list cannot be asked for {query}")
        for task in self.tasks.values():
            self.look(task)
        ended = [task for task in self.tasks.values() if task.ended_at is not None]
        found = [task for task in ended if query.get("start", "") <= _iso(task.ended_at) < query.get("end", "9")]
        found.sort(key=lambda task: task.ended_at or 0, reverse=True)
        page = int(base64.b64decode(query["cursor"])) if "cursor" in query else 1
        size = int(query.get("limit", "50"))
        more = len(found) > page * size
        items = [
            self._item(task, "payloads" in query.get("expand", "")) for task in found[(page - 1) * size : page * size]
        ]
        cursor = base64.b64encode(str(page + 1).encode()).decode() if more else None
        return web.json_response({"items": items, "next_cursor": cursor, "has_more": more})

    def _item(self, task: Task, with_payloads: bool) -> dict[str, Any]:
        payloads = {"json_input": task.body, "json_output": self._output(task) if task.state == "done" else {}}
        return {
            "request_id": task.id,
            "endpoint_id": ENDPOINT,
            "sent_at": iso(task.made_at),
            "started_at": iso(task.made_at),
            "ended_at": iso(task.ended_at),
            "status_code": 200 if task.state == "done" else 422,
            **(payloads if with_payloads else {}),
        }

    def balance(self, arrival: Arrival) -> web.Response:
        if self.balance_needs_admin:
            return web.json_response({"detail": "Admin API key is required"}, status=403)
        left = {"credits": {"current_balance": 12.5, "currency": "USD"}}
        return web.json_response({"username": "tester", **(left if arrival.query == {"expand": "credits"} else {})})

    def initiate(self, arrival: Arrival) -> web.Response:
        body = arrival.json
        if arrival.query not in ({"storage_type": "fal-cdn-v3"}, {"storage_type": "gcs"}):
            raise Mistake(f"an upload is not initiated with {arrival.query}")
        if set(body) != {"file_name", "content_type"}:
            raise Mistake(f"an upload is not initiated with {sorted(body)}")
        wish = json.loads(arrival.headers.get("x-fal-object-lifecycle-preference", "{}"))
        seconds = wish.get("expiration_duration_seconds")
        if type(seconds) is not int or seconds > self.upload_seconds:
            raise Mistake("X-Fal-Object-Lifecycle-Preference has to ask for a day at most")
        token = secrets.token_urlsafe(20)
        self.secrets.add(token)
        url = f"{self.urls['files']}/{secrets.token_hex(8)}/{body['file_name']}"
        self._initiated[token] = (url, body["file_name"], body["content_type"], seconds)
        return web.json_response({"upload_url": f"{self.urls['storage']}/{token}", "file_url": url})

    def upload(self, arrival: Arrival) -> web.Response:
        url, name, mime, seconds = self._initiated.pop(arrival.match["token"])
        if arrival.headers.get("content-type") != mime:
            raise Mistake("the Content-Type is not the one that was announced")
        self.store(url, arrival.body, mime, name=name, seconds=seconds)
        return web.Response()


def _iso(seconds: float | None) -> str:
    return iso(seconds) or ""
