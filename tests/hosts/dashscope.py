"""DashScope (Alibaba Model Studio), by the maker of the model."""

from __future__ import annotations

import base64
import re
import secrets
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

from aiohttp import web

from tests.hosts.stand_in import Arrival, Mistake, Route, StandIn, Task, UnfetchableError, form_of

MODEL = "wan2.7-i2v"
_SUBMIT = "/api/v1/services/aigc/video-generation/video-synthesis"
_STATES = {"queued": "PENDING", "running": "RUNNING", "done": "SUCCEEDED", "failed": "FAILED", "canceled": "CANCELED"}
_CODES = {
    400: "InvalidParameter",
    401: "InvalidApiKey",
    402: "Arrearage",
    403: "AccessDenied",
    404: "ModelNotFound",
    422: "InvalidURL",
    429: "Throttling.RateQuota",
    500: "InternalError",
}
_STATUSES = {402: 400, 422: 400}
"""Errors that have another status here."""
_TEXTS = {"prompt", "negative_prompt"}
_MEDIA_TYPES = {"first_frame", "last_frame", "first_clip", "driving_audio"}
_FORM = {
    "OSSAccessKeyId",
    "Signature",
    "policy",
    "key",
    "x-oss-object-acl",
    "x-oss-forbid-overwrite",
    "success_action_status",
}
_KEPT_SECONDS = 24 * 3600


class DashScope(StandIn):
    name = "dashscope"
    key_variable = "DASHSCOPE_API_KEY"
    origins: ClassVar = {"api": True, "oss": False, "videos": False}
    names: ClassVar = {
        **{name: name for name in ("prompt", "negative_prompt", "resolution", "duration", "seed")},
        **{name: name for name in ("prompt_extend", "watermark")},
        "first_frame": "image_url",
        "last_frame": "last_frame_url",
        "first_clip": "first_clip_url",
        "driving_audio": "driving_audio_url",
    }
    frames: ClassVar = {
        "model": "wan2.7-i2v",
        "input": {
            "prompt": "a walk",
            "negative_prompt": "rain",
            "media": [
                {"type": "first_frame", "url": "https://x.test/first.png"},
                {"type": "last_frame", "url": "https://x.test/last.png"},
                {"type": "driving_audio", "url": "https://x.test/voice.mp3"},
            ],
        },
        "parameters": {"resolution": "720P", "duration": 5, "seed": 7, "prompt_extend": True, "watermark": True},
    }
    continuation: ClassVar = {
        "model": "wan2.7-i2v",
        "input": {
            "prompt": "and on",
            "media": [
                {"type": "last_frame", "url": "https://x.test/last.png"},
                {"type": "first_clip", "url": "https://x.test/clip.mp4"},
            ],
        },
        "parameters": {"resolution": "1080P", "duration": 15, "seed": 0, "prompt_extend": False, "watermark": False},
    }
    link_seconds = 24 * 3600
    upload_seconds = 48 * 3600
    lists = True
    cancels = ("queued",)

    def reset(self) -> None:
        super().reset()
        self.zone = timezone.utc
        """Of the times in the list, which the documentation does not name."""
        self.list_in_milliseconds = False
        """Whether the times in the list are milliseconds since 1970, instead of text."""
        self.upload_host = ""
        """What the policy names instead of the host for uploads."""
        self._policies: dict[str, dict[str, Any]] = {}

    def routes(self) -> list[Route]:
        return [
            Route("api", "submit", "POST", _SUBMIT, self.submit),
            Route("api", "list", "GET", "/api/v1/tasks", self.list),
            Route("api", "result", "GET", "/api/v1/tasks/{id}", self.result),
            Route("api", "cancel", "POST", "/api/v1/tasks/{id}/cancel", self.cancel),
            Route("api", "policy", "GET", "/api/v1/uploads", self.policy),
            Route("oss", "upload", "POST", "/", self.upload),
            self.video_route(),
        ]

    def error(self, status: int, message: str = "set by a test") -> web.Response:
        body = {"code": _CODES.get(status, "InternalError"), "message": message, "request_id": "r-1"}
        return web.json_response(body, status=_STATUSES.get(status, status))

    def submit(self, arrival: Arrival) -> web.Response:
        body = arrival.json
        if arrival.headers.get("x-dashscope-async") != "enable":
            raise Mistake("X-DashScope-Async: enable is missing", 403)
        if set(body) != {"model", "input", "parameters"} or body["model"] != MODEL:
            raise Mistake(f"the body has {sorted(body)} for the model {body.get('model')}")
        inputs, media = dict(body["input"]), body["input"].get("media")
        if not isinstance(media, list) or set(inputs) - {"media"} - _TEXTS or _TEXTS & set(body["parameters"]):
            raise Mistake("input has prompt, negative_prompt and media; the rest belongs to parameters")
        del inputs["media"]
        by_type = {each["type"]: each["url"] for each in media if set(each) == {"type", "url"}}
        if len(by_type) != len(media):
            raise Mistake("each of media has a type of its own, and a url")
        oss = any(str(url).startswith("oss://") for url in by_type.values())
        if oss and arrival.headers.get("x-dashscope-ossresourceresolve") != "enable":
            raise Mistake("X-DashScope-OssResourceResolve: enable is missing", 400)
        if clash := set(by_type) - _MEDIA_TYPES | set(inputs) & set(body["parameters"]):
            raise Mistake(f"{clash} is in the wrong place")
        task = self.make({**inputs, **body["parameters"], **by_type}, body)
        return self._answer({"task_id": task.id, "task_status": "PENDING"})

    def fetch(self, name: str, url: str) -> bytes | None:
        if url.startswith("oss://") and url not in self.files:
            raise UnfetchableError("Unable to download the media resource during the data inspection process")
        return super().fetch(name, url)

    def result(self, arrival: Arrival) -> web.Response:
        task = self.tasks.get(arrival.match["id"])
        if task is None or self.now() > task.made_at + _KEPT_SECONDS:
            return self._answer({"task_id": arrival.match["id"], "task_status": "UNKNOWN"})
        state = self.look(task)
        output = {"task_id": task.id, "task_status": _STATES[state], "submit_time": self._time(task.made_at)}
        usage: dict[str, Any] = {}
        if state == "done":
            output |= {"video_url": self.link(task), "orig_prompt": task.inputs.get("prompt", "")}
            usage = {"duration": task.inputs.get("duration", 5), "video_count": 1}
        if state == "failed":
            code, _, message = task.reason.partition(": ")
            output |= {"code": code if message else "InvalidParameter.DataInspection", "message": message or code}
        return self._answer(output, **({"usage": usage} if usage else {}))

    def cancel(self, arrival: Arrival) -> web.Response:
        task = self.tasks.get(arrival.match["id"])
        if task is None or task.state != "queued":
            body = {
                "code": "UnsupportedOperation",
                "message": "the task is not PENDING",
                "request_id": "r-1",
            }
            return web.json_response(body, status=400)
        self.cancel_task(task)
        return web.json_response({"request_id": "r-1"})

    def list(self, arrival: Arrival) -> web.Response:
        query = arrival.query
        if unknown := set(query) - {"start_time", "end_time", "model_name", "status", "page_no", "page_size"}:
            raise Mistake(f"the list has no {unknown}")
        if query.get("model_name", MODEL) != MODEL or int(query.get("page_size", "10")) > 100:
            raise Mistake(f"the list cannot be asked for {query}")
        start, end = (self._moment(query[name]) for name in ("start_time", "end_time"))
        if not start < end <= start + _KEPT_SECONDS:
            raise Mistake("the list covers at most 24 hours", 400)
        found = [task for task in reversed(list(self.tasks.values())) if start <= task.made_at <= end]
        page, size = int(query.get("page_no", "1")), int(query.get("page_size", "10"))
        rows = [self._row(task) for task in found[(page - 1) * size : page * size]]
        return web.json_response(
            {
                "total": len(found),
                "data": rows,
                "total_page": -(-len(found) // size),
                "page_no": page,
                "page_size": size,
            }
        )

    def policy(self, arrival: Arrival) -> web.Response:
        if arrival.query != {"action": "getPolicy", "model": MODEL}:
            raise Mistake(f"a policy is not asked for with {arrival.query}")
        secret = {"policy": base64.b64encode(secrets.token_bytes(48)).decode(), "signature": secrets.token_urlsafe(20)}
        self.secrets |= set(secret.values())
        data = {
            **secret,
            "upload_dir": f"dashscope-instant/{secrets.token_hex(8)}/2026-11-26/{secrets.token_hex(8)}",
            "upload_host": self.upload_host or self.urls["oss"],
            "expire_in_seconds": 300,
            "max_file_size_mb": 100,
            "oss_access_key_id": f"LTAI{secrets.token_hex(8)}",
            "x_oss_object_acl": "private",
            "x_oss_forbid_overwrite": "true",
        }
        self._policies[data["policy"]] = {**data, "until": self.now() + 300}
        return web.json_response({"data": data, "request_id": "r-1"})

    def upload(self, arrival: Arrival) -> web.Response:
        _, mime, data = form_of(arrival, _FORM, "file")
        form, policy = arrival.form, self._policies.get(arrival.form["policy"])
        if policy is None or self.now() > policy["until"]:
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>")
        wanted = {
            "OSSAccessKeyId": policy["oss_access_key_id"],
            "Signature": policy["signature"],
            "x-oss-object-acl": policy["x_oss_object_acl"],
            "x-oss-forbid-overwrite": policy["x_oss_forbid_overwrite"],
            "success_action_status": "200",
        }
        if wrong := [field for field, value in wanted.items() if form[field] != value]:
            raise Mistake(f"the form has other values than the policy: {wrong}", 403)
        folder, _, file = form["key"].rpartition("/")
        if folder != policy["upload_dir"] or not re.fullmatch(r"[\w.-]+", file):
            raise Mistake(f"the key {form['key']} is not in the folder of the policy", 403)
        if f"oss://{form['key']}" in self.files:
            raise Mistake("a file of this name exists, and must not be overwritten", 409)
        self.store(f"oss://{form['key']}", data, mime, name=file)
        return web.Response()

    def _row(self, task: Task) -> dict[str, Any]:
        self.look(task)
        times = {"gmt_create": task.made_at, "start_time": task.made_at, "end_time": task.ended_at}
        form = (lambda at: round(at * 1000)) if self.list_in_milliseconds else self._time
        shown = {name: form(at) for name, at in times.items() if at is not None}
        return {"task_id": task.id, "status": _STATES[task.state], "model_name": MODEL, **shown}

    def _time(self, seconds: float) -> str:
        return datetime.fromtimestamp(seconds, self.zone).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

    def _moment(self, text: str) -> float:
        if not re.fullmatch(r"\d{14}", text):
            raise Mistake(f"{text!r} is not a time like YYYYMMDDhhmmss", 400)
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=self.zone).timestamp()

    def _answer(self, output: dict[str, Any], **more: Any) -> web.Response:
        return web.json_response({"request_id": "r-1", "output": output, **more})


BEIJING = timezone(timedelta(hours=8))
