"""The dialect of Alibaba Model Studio (DashScope), the model's maker: nested bodies, uploads to its object storage.

Source: alibabacloud.com/help/en/model-studio, the pages on image to video, asynchronous tasks and temporary files.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import ClassVar

from ...core import errors
from ..dialect import Answer, Call, Capabilities, Dialect, Kind, Transfer, UploadFile
from ..inputs import to_inputs
from ..json_values import Json, integer, mapping, mappings, number, text, timestamp
from ..request import VideoRequest
from ..task import PastTask, ResultVideo, TaskHandle, TaskPage, TaskResult, TaskState

TEXTS = {"prompt": "prompt", "negative_prompt": "negative_prompt"}
PARAMETERS = {
    "resolution": "resolution",
    "duration": "duration",
    "seed": "seed",
    "prompt_extend": "prompt_extend",
    "watermark": "watermark",
}
MEDIA_TYPES = {
    "image_url": "first_frame",
    "last_frame_url": "last_frame",
    "first_clip_url": "first_clip",
    "driving_audio_url": "driving_audio",
}

_STATES = {
    "PENDING": TaskState.QUEUED,
    "SUCCEEDED": TaskState.SUCCEEDED,
    "FAILED": TaskState.FAILED,
    "CANCELED": TaskState.FAILED,
}

_PAGE_SIZE = 100
_ZONE_SECONDS = 8 * 3600
"""The list's times have no zone: they may be UTC, or the host's own UTC+8. A window this much longer contains both."""

_NOT_FETCHED = "The host could not fetch a media file: its URL must be readable from the internet without a login."


class DashscopeDialect(Dialect):
    name = "dashscope"
    model = "wan2.7-i2v"
    capabilities = Capabilities(
        data_uris="works",
        upload_seconds=48 * 3600,
        shared_ticket=True,
        cancels="queued",
        polls_per_minute=600.0,  # half of what one account may ask, with all its programs together
    )
    codes: ClassVar[Mapping[str, Kind | tuple[Kind, str]]] = {
        "InvalidApiKey": errors.AuthenticationError,
        "AccessDenied": errors.AuthenticationError,
        "Model.AccessDenied": (errors.AuthenticationError, "The key may not use this model: allow it in the console."),
        "Arrearage": errors.BalanceError,
        "DataInspectionFailed": errors.ContentError,
        "IPInfringementSuspect": errors.ContentError,
        "InvalidParameter.DataInspection": (errors.MediaRefusedError, _NOT_FETCHED),
        "InvalidURL": (errors.MediaRefusedError, _NOT_FETCHED),
        "InvalidParameter": (errors.ServiceError, "The request breaks a rule of the host."),
        "ModelNotFound": errors.ModelNotFoundError,
        "Throttling": errors.RateLimitError,
        "UnsupportedOperation": (errors.ServiceError, "Only a task that has not started can be canceled."),
    }

    def submit(self, request: VideoRequest) -> Call:
        media = request.media()
        headers = {"X-DashScope-Async": "enable"}
        if any(url.startswith(f"{self.host.upload_scheme}://") for url in media.values()):
            headers["X-DashScope-OssResourceResolve"] = "enable"
        listed = [{"type": kind, "url": media[field]} for field, kind in MEDIA_TYPES.items() if field in media]
        body = {
            "model": self.model,
            "input": {**to_inputs(request, TEXTS), "media": listed},
            "parameters": to_inputs(request, PARAMETERS),
        }
        path = "/api/v1/services/aigc/video-generation/video-synthesis"
        return Call("POST", path, json=body, headers=headers)

    def read_submit(self, answer: Answer) -> TaskHandle:
        payload = mapping(self.payload(answer, submitting=True))
        return self.handle(mapping(payload.get("output")).get("task_id"), answer)

    def poll(self, task: TaskHandle) -> Call:
        return Call("GET", f"/api/v1/tasks/{task.task_id}")

    def read_poll(self, task: TaskHandle, call: Call, answer: Answer) -> TaskResult:
        payload = self.payload(answer)
        output = mapping(mapping(payload).get("output"))
        status = text(output.get("task_status")).upper()
        if status == "UNKNOWN":
            raise errors.TaskNotFoundError(
                f"The service does not know task {task.task_id}, or no longer: it keeps tasks for a day. "
                f"{self.advice(errors.TaskNotFoundError)}",
                status=404,
            )
        if not status:
            raise self.incomplete(answer, f"status for task {task.task_id}")
        state, url = _STATES.get(status, TaskState.PROCESSING), text(output.get("video_url"))
        said = ": ".join(filter(None, (text(output.get("code")), text(output.get("message")))))
        return TaskResult(
            task_id=task.task_id,
            state=state,
            reason=(said or status) if state is TaskState.FAILED else "",
            video=ResultVideo(url) if url else None,
            canceled=status == "CANCELED",
            prompt=text(output.get("orig_prompt")) or None,
        )

    def cancel(self, task: TaskHandle) -> Call:
        return Call("POST", f"/api/v1/tasks/{task.task_id}/cancel")

    def key_check(self) -> Call:
        return Call("GET", "/api/v1/uploads", params={"action": "getPolicy", "model": self.model})

    def list_tasks(self, since: float, until: float, page: str = "") -> Call:
        window = {"start_time": _clock(since), "end_time": _clock(until + _ZONE_SECONDS)}
        pages = {"page_no": page or "1", "page_size": str(_PAGE_SIZE)}
        return Call("GET", "/api/v1/tasks", params={**window, "model_name": self.model, **pages})

    def read_list(self, answer: Answer, since: float) -> TaskPage:
        payload = mapping(self.payload(answer))
        rows, tasks = mappings(payload.get("data")), []
        for row in rows:
            if text(row.get("task_id")) and row.get("model_name") in (None, self.model):
                handle = self.handle(row["task_id"], answer)
                tasks.append(PastTask(handle, _times(row.get("gmt_create"))))
        page, total = integer(payload.get("page_no"), 10**6) or 1, integer(payload.get("total"), 10**9) or 0
        size = integer(payload.get("page_size"), _PAGE_SIZE) or len(rows)  # the host may give fewer than asked for
        return TaskPage(tasks, str(page + 1) if rows and page * size < total else "")

    def prepare_upload(self, file: UploadFile) -> Call:
        return self.key_check()

    def upload(self, file: UploadFile, ticket: Answer | None) -> Transfer:
        policy = self._policy(ticket)
        form = {
            "OSSAccessKeyId": policy["oss_access_key_id"],
            "Signature": policy["signature"],
            "policy": policy["policy"],
            "key": f"{policy['upload_dir']}/{file.name}",
            "x-oss-object-acl": policy["x_oss_object_acl"],
            "x-oss-forbid-overwrite": policy["x_oss_forbid_overwrite"],
            "success_action_status": "200",
        }
        return Transfer(Call("POST", policy["upload_host"], with_key=False), "file", form)

    def read_upload(self, file: UploadFile, ticket: Answer | None, answer: Answer) -> str:
        # 409: the same file is there already, from an attempt whose answer was lost. Names are those of the content.
        if not answer.ok and answer.status != 409:
            raise self.not_stored(answer)
        return f"{self.host.upload_scheme}://{self._policy(ticket)['upload_dir']}/{file.name}"

    def _policy(self, ticket: Answer | None) -> dict[str, str]:
        assert ticket is not None, "prepare_upload returned a call"
        payload = self.payload(ticket)
        policy = {name: value for name, value in mapping(mapping(payload).get("data")).items() if text(value)}
        missing = [name for name in _POLICY if name not in policy]
        if missing:
            raise errors.ServerError(f"The host's permission to upload has no {', '.join(missing)}.")
        return policy

    def said(self, answer: Answer) -> tuple[str, str]:
        payload = mapping(answer.payload)
        return text(payload.get("code")), text(payload.get("message"))

    def kind(self, status: int, code: str, message: str, *, submitting: bool) -> tuple[Kind, str]:
        if submitting and "model not exist" in message.lower():
            return errors.ModelNotFoundError, ""
        return super().kind(status, code, message, submitting=submitting)

    def advice(self, kind: Kind) -> str:
        if kind is not errors.AuthenticationError:
            return super().advice(kind)
        return (
            f"{super().advice(kind)} A key belongs to one region, and {self.host.setting('base_url')} must be that of "
            "the same region: https://dashscope-intl.aliyuncs.com for Singapore, https://dashscope.aliyuncs.com for "
            "Beijing."
        )


_POLICY = (
    "upload_host",
    "upload_dir",
    "oss_access_key_id",
    "policy",
    "signature",
    "x_oss_object_acl",
    "x_oss_forbid_overwrite",
)


def _times(value: Json) -> tuple[float, ...]:
    """Return the possible readings of a time in the list: milliseconds, or text without a zone."""
    milliseconds, utc = number(value), timestamp(value)
    if milliseconds is not None:
        return (milliseconds / 1000,)
    return () if utc is None else (utc, utc - _ZONE_SECONDS)


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y%m%d%H%M%S")
