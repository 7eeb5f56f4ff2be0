"""Replicate."""

from __future__ import annotations

import secrets
from io import BytesIO
from typing import Any, ClassVar

import av
from aiohttp import web

from tests.hosts.stand_in import Arrival, Mistake, Route, StandIn, Task, form_of, iso

MODEL = "wan-video/wan-2.7-i2v"
_STATES = {
    "queued": "starting",
    "running": "processing",
    "done": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
}
_TITLES = {401: "Unauthenticated", 402: "Insufficient credit", 404: "Model not found", 422: "Input validation failed"}
_KEPT_SECONDS = 3600
_PAGE = 100


class Replicate(StandIn):
    name = "replicate"
    key_variable = "REPLICATE_API_TOKEN"
    names: ClassVar = {
        **{name: name for name in ("prompt", "negative_prompt", "resolution", "duration", "seed")},
        "enable_prompt_expansion": "prompt_extend",
        "first_frame": "image_url",
        "last_frame": "last_frame_url",
        "first_clip": "first_clip_url",
        "audio": "driving_audio_url",
    }
    frames: ClassVar = {
        "input": {
            "prompt": "a walk",
            "negative_prompt": "rain",
            "first_frame": "https://x.test/first.png",
            "last_frame": "https://x.test/last.png",
            "audio": "https://x.test/voice.mp3",
            "resolution": "720p",
            "duration": 5,
            "seed": 7,
            "enable_prompt_expansion": True,
        }
    }
    continuation: ClassVar = {
        "input": {
            "prompt": "and on",
            "first_clip": "https://x.test/clip.mp4",
            "last_frame": "https://x.test/last.png",
            "resolution": "1080p",
            "duration": 15,
            "seed": 0,
            "enable_prompt_expansion": False,
        }
    }
    resolutions = ("720p", "1080p")
    upload_seconds = 24 * 3600
    lists = True
    cancels = ("queued", "running")

    def reset(self) -> None:
        super().reset()
        self.output_is_list = False

    def routes(self) -> list[Route]:
        return [
            Route("api", "submit", "POST", f"/v1/models/{MODEL}/predictions", self.submit),
            Route("api", "list", "GET", "/v1/predictions", self.list),
            Route("api", "result", "GET", "/v1/predictions/{id}", self.result),
            Route("api", "cancel", "POST", "/v1/predictions/{id}/cancel", self.cancel),
            Route("api", "upload", "POST", "/v1/files", self.upload),
            Route("api", "balance", "GET", "/v1/account", self.account),
            self.video_route(),
        ]

    def error(self, status: int, message: str = "set by a test") -> web.Response:
        body: dict[str, Any] = {"title": _TITLES.get(status, "Error"), "detail": message, "status": status}
        if status == 422:
            body["invalid_fields"] = [{"type": "value_error", "field": "input.first_frame", "description": message}]
        return web.json_response(body, status=status)

    def new_id(self) -> str:
        return secrets.token_hex(13)

    def submit(self, arrival: Arrival) -> web.Response:
        body = arrival.json
        if set(body) != {"input"} or "prefer" in arrival.headers:
            raise Mistake(f"a prediction is not made with {sorted(body)}, and without Prefer")
        return web.json_response(self._prediction(self.make(body["input"], body)), status=201)

    def fetch(self, name: str, url: str) -> bytes | None:
        data = super().fetch(name, url)
        if name == "driving_audio_url" and data is not None and not 3 <= _seconds(data) <= 30:
            raise Mistake(f"the audio has {_seconds(data)} s, not 3-30")
        return data

    def result(self, arrival: Arrival) -> web.Response:
        task = self.tasks.get(arrival.match["id"])
        if task is None:
            return self.error(404, "The requested resource could not be found.")
        self.look(task)
        return web.json_response(self._prediction(task))

    def cancel(self, arrival: Arrival) -> web.Response:
        task = self.tasks.get(arrival.match["id"])
        if task is None:
            return self.error(404, "The requested resource could not be found.")
        if task.ended_at is None:
            self.cancel_task(task)
        return web.json_response(self._prediction(task))

    def list(self, arrival: Arrival) -> web.Response:
        if unknown := set(arrival.query) - {"cursor", "created_after", "created_before", "source"}:
            raise Mistake(f"the list has no {unknown}")
        tasks, first = list(reversed(self.tasks.values())), int(arrival.query.get("cursor", "0"))
        after = f"{self.urls['api']}/v1/predictions?cursor={first + _PAGE}" if len(tasks) > first + _PAGE else None
        rows = [self._prediction(task) for task in tasks[first : first + _PAGE]]
        return web.json_response({"previous": None, "next": after, "results": rows})

    def upload(self, arrival: Arrival) -> web.Response:
        name, mime, data = form_of(arrival, set(), "content")
        file_id = secrets.token_urlsafe(20)
        url = f"{self.urls['api']}/v1/files/{file_id}"
        stored = self.store(url, data, mime, name=name)
        answer = {"id": file_id, "name": name, "content_type": mime, "size": len(data), "urls": {"get": url}}
        return web.json_response({**answer, "expires_at": iso(stored.expires_at)}, status=201)

    def account(self, arrival: Arrival) -> web.Response:
        return web.json_response({"type": "user", "username": "tester", "name": "", "github_url": ""})

    def _prediction(self, task: Task) -> dict[str, Any]:
        kept = task.ended_at is None or self.now() < task.ended_at + _KEPT_SECONDS
        output: Any = self.link(task) if task.state == "done" and kept else None
        url = f"{self.urls['api']}/v1/predictions/{task.id}"
        return {
            "id": task.id,
            "model": MODEL,
            "version": "hidden",
            "status": _STATES[task.state],
            "input": task.body["input"] if kept else {},
            "output": [output] if output and self.output_is_list else output,
            "error": task.reason if task.state == "failed" else None,
            "data_removed": not kept,
            "created_at": iso(task.made_at),
            "started_at": None,
            "completed_at": iso(task.ended_at),
            "urls": {"get": url, "cancel": f"{url}/cancel"},
        }


def _seconds(data: bytes) -> float:
    with av.open(BytesIO(data)) as container:
        return (container.duration or 0) / av.time_base
