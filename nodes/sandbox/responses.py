"""The JSON the service answers with."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from .faults import Fault

TASK_TYPE = "WAN_2_7_I2V"


def error(
    status: int, reason: str, message: str, *, nested: bool = False, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An error in the vendor's shape, or in the one that some of its routes use."""
    body: dict[str, Any] = {"code": status, "reason": reason, "message": message, "metadata": {}}
    if nested:
        body = {"error": {"message": message, "code": reason}}
    return web.json_response(body, status=status, headers=headers)


def fault_answer(fault: Fault | None, *, failed: str) -> web.Response | None:
    """The answer of the faults that are nothing but an answer; `failed` is the reason of the 500."""
    if fault is None:
        return None
    values = fault.values
    if fault.kind == "rate_limit":
        wait = values["retry_after"]
        return too_many(None if wait is None else str(wait))
    if fault.kind == "server_error":
        return error(500, failed, "set by a test")
    if fault.kind == "unavailable":
        return web.Response(status=503, text="<html><body>503 Service Unavailable</body></html>")
    if fault.kind == "error":
        return error(values["status"], values["reason"], values["message"], nested=values["nested"])
    return None


def too_many(retry_after: str | None) -> web.Response:
    """429."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return error(429, "RATE_LIMIT_EXCEEDED", "too many requests, try again later", headers=headers)


def task_answer(task: dict[str, Any], *, video_url: str, ttl_seconds: int) -> dict[str, Any]:
    """What the service says about a task now. `video_url` is used for a finished one only."""
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
            "task_type": TASK_TYPE,
            "eta": eta,
            "progress_percent": progress,
        },
        "images": [],
        "audios": [],
        "videos": videos,
    }


def _progress(task: dict[str, Any], now: float) -> tuple[str, int, int]:
    """Status, progress in percent, seconds left."""
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
