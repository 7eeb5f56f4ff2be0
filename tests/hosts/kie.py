"""Kie."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any, ClassVar

from aiohttp import web

from tests.hosts.stand_in import Arrival, Mistake, Route, StandIn, Task, form_of

MODEL = "wan/2-7-image-to-video"
_STATES = {"queued": "waiting", "running": "generating", "done": "success", "failed": "fail"}


class Kie(StandIn):
    name = "kie"
    key_variable = "KIE_API_KEY"
    origins: ClassVar = {"api": True, "upload": True, "files": False, "videos": False}
    settings: ClassVar = {"base_url": "api", "upload_url": "upload"}
    names: ClassVar = {
        **{name: name for name in ("prompt", "negative_prompt", "resolution", "duration", "seed")},
        **{name: name for name in ("prompt_extend", "watermark")},
        "first_frame_url": "image_url",
        "last_frame_url": "last_frame_url",
        "first_clip_url": "first_clip_url",
        "driving_audio_url": "driving_audio_url",
    }
    frames: ClassVar = {
        "model": "wan/2-7-image-to-video",
        "input": {
            "prompt": "a walk",
            "negative_prompt": "rain",
            "first_frame_url": "https://x.test/first.png",
            "last_frame_url": "https://x.test/last.png",
            "driving_audio_url": "https://x.test/voice.mp3",
            "resolution": "720p",
            "duration": 5,
            "seed": 7,
            "prompt_extend": True,
            "watermark": True,
        },
    }
    continuation: ClassVar = {
        "model": "wan/2-7-image-to-video",
        "input": {
            "prompt": "and on",
            "first_clip_url": "https://x.test/clip.mp4",
            "last_frame_url": "https://x.test/last.png",
            "resolution": "1080p",
            "duration": 15,
            "seed": 0,
            "prompt_extend": False,
            "watermark": False,
        },
    }
    resolutions = ("720p", "1080p")
    data_uris = False
    link_seconds = 24 * 3600
    upload_seconds = 24 * 3600

    def reset(self) -> None:
        super().reset()
        self.hidden_errors = True
        """Whether errors come with HTTP 200, and only the code in the body tells."""

    def routes(self) -> list[Route]:
        return [
            Route("api", "submit", "POST", "/api/v1/jobs/createTask", self.submit),
            Route("api", "result", "GET", "/api/v1/jobs/recordInfo", self.result),
            Route("api", "balance", "GET", "/api/v1/chat/credit", self.balance),
            Route("upload", "upload", "POST", "/api/file-stream-upload", self.upload),
            self.video_route(),
        ]

    def error(self, status: int, message: str = "set by a test") -> web.Response:
        body = {"code": status, "msg": message, "data": None}
        return web.json_response(body, status=200 if self.hidden_errors else status)

    def new_id(self) -> str:
        return secrets.token_hex(16)

    def submit(self, arrival: Arrival) -> web.Response:
        body = arrival.json
        if set(body) != {"model", "input"} or body["model"] != MODEL:
            raise Mistake(f"the body has {sorted(body)} for the model {body.get('model')}")
        return self._answer({"taskId": self.make(body["input"], body).id})

    def result(self, arrival: Arrival) -> web.Response:
        task = self.tasks.get(arrival.query["taskId"])
        if task is None:
            return self.error(404, "recordInfo is null")
        return self._answer(self._record(task, self.look(task)))

    def _record(self, task: Task, state: str) -> dict[str, Any]:
        result = json.dumps({"resultUrls": [self.link(task)]}) if state == "done" else ""
        failed = (
            {"failCode": "501", "failMsg": task.reason} if state == "failed" else {"failCode": None, "failMsg": None}
        )
        return {
            "taskId": task.id,
            "model": MODEL,
            "state": _STATES[state],
            "param": json.dumps(task.body),
            "resultJson": result,
            **failed,
            "createTime": round(task.made_at * 1000),
            "completeTime": None if task.ended_at is None else round(task.ended_at * 1000),
        }

    def balance(self, arrival: Arrival) -> web.Response:
        return self._answer(2500)

    def upload(self, arrival: Arrival) -> web.Response:
        _, mime, data = form_of(arrival, {"uploadPath", "fileName"}, "file")
        path, name = arrival.form["uploadPath"].strip("/"), arrival.form["fileName"]
        if not re.fullmatch(r"[\w./-]+", f"{path}/{name}") or ".." in path:
            raise Mistake(f"{path}/{name} is not a path")
        url = f"{self.urls['files']}/{path}/{name}"
        if url in self.files and self.files[url].data != data:
            raise Mistake("the file replaces another one that has the same name")
        self.store(url, data, mime, name=name)
        answer = {"success": True, "code": 200, "msg": "File uploaded successfully"}
        return web.json_response(
            {**answer, "data": {"fileName": name, "filePath": f"{path}/{name}", "downloadUrl": url}}
        )

    def _answer(self, data: Any) -> web.Response:
        return web.json_response({"code": 200, "msg": "success", "data": data})
