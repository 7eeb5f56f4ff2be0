"""Novita, the first vendor."""

from __future__ import annotations

from typing import Any, ClassVar

from aiohttp import web

from tests.hosts.stand_in import CONTINUATION, FRAMES, TYPES, Arrival, Route, StandIn, Task

_STATES = {"queued": "QUEUED", "running": "PROCESSING", "done": "SUCCEED", "failed": "FAILED"}
_REASONS = {
    400: "INVALID_REQUEST_BODY",
    401: "INVALID_API_KEY",
    402: "BILLING_BALANCE_NOT_ENOUGH",
    403: "FEATURE_NOT_ALLOWED",
    404: "API_NOT_FOUND",
    422: "INVALID_IMAGE_FORMAT",
    429: "RATE_LIMIT_EXCEEDED",
    500: "CREATE_TASK_FAILED",
}


class Novita(StandIn):
    name = "novita"
    key_variable = "NOVITA_API_KEY"
    names: ClassVar = {name: name for name in TYPES}
    frames: ClassVar = FRAMES
    continuation: ClassVar = CONTINUATION

    def routes(self) -> list[Route]:
        return [
            Route("api", "submit", "POST", "/v3/async/wan2.7-i2v", self.submit),
            Route("api", "result", "GET", "/v3/async/task-result", self.result),
            Route("api", "balance", "GET", "/openapi/v1/billing/balance/detail", self.balance),
            self.video_route(),
        ]

    def error(self, status: int, message: str = "set by a test") -> web.Response:
        body = {"code": status, "reason": _REASONS.get(status, "TASK_FAILED"), "message": message, "metadata": {}}
        return web.json_response(body, status=status)

    def submit(self, arrival: Arrival) -> web.Response:
        body = arrival.json
        return web.json_response({"task_id": self.make(body, body).id})

    def result(self, arrival: Arrival) -> web.Response:
        task = self.tasks.get(arrival.query["task_id"])
        if task is None:
            body = {"code": 404, "reason": "TASK_NOT_FOUND", "message": "no such task", "metadata": {}}
            return web.json_response(body, status=404)
        return web.json_response(self._task(task, self.look(task)))

    def _task(self, task: Task, state: str) -> dict[str, Any]:
        video = {"video_url": self.link(task), "video_url_ttl": str(self.link_seconds), "video_type": "mp4"}
        return {
            "extra": {"seed": str(task.inputs.get("seed", 1)), "debug_info": {}},
            "task": {
                "task_id": task.id,
                "status": f"TASK_STATUS_{_STATES[state]}",
                "reason": task.reason if state == "failed" else "",
                "task_type": "WAN_2_7_I2V",
                "eta": 0,
                "progress_percent": 0,
            },
            "images": [],
            "audios": [],
            "videos": [video] if state == "done" else [],
        }

    def balance(self, arrival: Arrival) -> web.Response:
        fields = ("availableBalance", "cashBalance", "creditLimit", "outstandingInvoices")
        return web.json_response(dict(zip(fields, ("125000", "125000", "0", "0"), strict=True)))
