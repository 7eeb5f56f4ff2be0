"""The JSON of the service's answers."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web


class ResponseError(Exception):
    """The request is answered with an error in the vendor's shape."""

    def __init__(self, status: int, reason: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.reason, self.headers = status, reason, headers

    def response(self) -> web.Response:
        body = {"code": self.status, "reason": self.reason, "message": str(self), "metadata": {}}
        return web.json_response(body, status=self.status, headers=self.headers)


def task_answer(task: dict[str, Any], *, video_url: str, ttl_seconds: int) -> dict[str, Any]:
    """Return the answer about a task at this moment. It contains `video_url` if the task is finished."""
    now = time.time() * 1000
    status, progress, eta = _progress(task, now)
    done = status == "TASK_STATUS_SUCCEED"
    started = 0 if status == "TASK_STATUS_QUEUED" else task["started_ms"]
    videos = [{"video_url": video_url, "video_url_ttl": str(ttl_seconds), "video_type": "mp4"}] if done else []
    return {
        "extra": {
            "seed": str(task["seed"]),
            "debug_info": {
                "submit_time_ms": str(task["submitted_ms"]),
                "execute_time_ms": str(started),
                "complete_time_ms": str(task["completed_ms"]),
            },
        },
        "task": {
            "task_id": task["task_id"],
            "status": status,
            "reason": task["reason"] if status == "TASK_STATUS_FAILED" else "",
            "task_type": "WAN_2_7_I2V",
            "eta": eta,
            "progress_percent": progress,
        },
        "images": [],
        "audios": [],
        "videos": videos,
    }


def _progress(task: dict[str, Any], now: float) -> tuple[str, int, int]:
    """Return the status, the progress in percent and the seconds left."""
    started, ready = task["started_ms"], task["ready_ms"]
    left = max(0, math.ceil((ready - now) / 1000))
    if now < started:
        return "TASK_STATUS_QUEUED", 0, left
    if task["outcome"] == "failed":
        return "TASK_STATUS_FAILED", 0, 0
    if task["outcome"] == "succeed":
        return "TASK_STATUS_SUCCEED", 100, 0
    share = (now - started) / max(1, ready - started)
    return "TASK_STATUS_PROCESSING", min(99, int(share * 100)), max(1, left)
