"""The dialect of Replicate: predictions, and uploads in one step.

Source: replicate.com/docs/reference/http, and the model's page replicate.com/wan-video/wan-2.7-i2v.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from ...core import errors
from ...core.limits import MB
from ..dialect import Answer, Call, Capabilities, Dialect, Transfer, UploadFile
from ..inputs import from_inputs, to_inputs
from ..json_values import mapping, mappings, short, text, timestamp
from ..request import VideoRequest
from ..task import PastTask, ResultVideo, TaskHandle, TaskPage, TaskResult, TaskState

NAMES = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "resolution": "resolution",
    "duration": "duration",
    "seed": "seed",
    "prompt_extend": "enable_prompt_expansion",
    "image_url": "first_frame",
    "last_frame_url": "last_frame",
    "first_clip_url": "first_clip",
    "driving_audio_url": "audio",
}

_STATES = {
    "starting": TaskState.QUEUED,
    "processing": TaskState.PROCESSING,
    "succeeded": TaskState.SUCCEEDED,
    "failed": TaskState.FAILED,
    "canceled": TaskState.FAILED,
    "aborted": TaskState.FAILED,
}


class ReplicateDialect(Dialect):
    name = "replicate"
    model = "wan-video/wan-2.7-i2v"
    capabilities = Capabilities(
        data_uris="documented",
        upload_seconds=24 * 3600,
        upload_bytes=100 * MB,
        cancels="running",
        watermark=False,
        min_audio_seconds=3.0,
    )

    def submit(self, request: VideoRequest) -> Call:
        inputs = to_inputs(request, NAMES, resolution=str.lower)
        return Call("POST", f"/v1/models/{self.model}/predictions", json={"input": inputs})

    def read_submit(self, answer: Answer) -> TaskHandle:
        return self.handle(mapping(self.payload(answer, submitting=True)).get("id"), answer)

    def poll(self, task: TaskHandle) -> Call:
        return Call("GET", f"/v1/predictions/{task.task_id}")

    def read_poll(self, task: TaskHandle, call: Call, answer: Answer) -> TaskResult:
        payload = mapping(self.payload(answer))
        status = text(payload.get("status"))
        if not status:
            raise self.incomplete(answer, f"status for task {task.task_id}")
        state, output = _STATES.get(status, TaskState.PROCESSING), payload.get("output")
        urls = filter(None, map(text, output if isinstance(output, list) else [output]))
        video = next(map(ResultVideo, urls), None)
        if state is TaskState.SUCCEEDED and video is None and payload.get("data_removed") is True:
            raise errors.TaskNotFoundError(
                f"The service removed the result of task {task.task_id}: it keeps results for an hour.", status=404
            )
        return TaskResult(
            task_id=task.task_id,
            state=state,
            reason=short(payload.get("error") or status, 500) if state is TaskState.FAILED else "",
            video=video,
            canceled=status in ("canceled", "aborted"),
        )

    def cancel(self, task: TaskHandle) -> Call:
        return Call("POST", f"/v1/predictions/{task.task_id}/cancel")

    def key_check(self) -> Call:
        return Call("GET", "/v1/account")

    def list_tasks(self, since: float, until: float, page: str = "") -> Call:
        return Call("GET", "/v1/predictions", params={"cursor": page} if page else None)

    def read_list(self, answer: Answer, since: float) -> TaskPage:
        payload = mapping(self.payload(answer))
        rows = [(row, timestamp(row.get("created_at"))) for row in mappings(payload.get("results"))]
        tasks = [
            PastTask(
                self.handle(row["id"], answer),
                () if created is None else (created,),
                from_inputs(mapping(row.get("input")), NAMES),
            )
            for row, created in rows
            if text(row.get("id")) and row.get("model") == self.model
        ]
        # Newest first: nothing on the next page is younger than the last row of this one.
        if any(created is not None and created < since for _, created in rows):
            return TaskPage(tasks)
        cursor = parse_qs(urlsplit(text(payload.get("next"))).query).get("cursor", [""])
        return TaskPage(tasks, cursor[0])

    def upload(self, file: UploadFile, ticket: Answer | None) -> Transfer:
        return Transfer(Call("POST", "/v1/files"), "content")

    def read_upload(self, file: UploadFile, ticket: Answer | None, answer: Answer) -> str:
        url = text(mapping(mapping(self.payload(answer)).get("urls")).get("get"))
        if not url:
            raise self.incomplete(answer, "URL for the upload")
        return url

    def said(self, answer: Answer) -> tuple[str, str]:
        payload = mapping(answer.payload)
        fields = [
            ": ".join(filter(None, (text(problem.get("field")), text(problem.get("description")))))
            for problem in mappings(payload.get("invalid_fields"))
        ]
        said = [text(payload.get("title")), text(payload.get("detail")), *fields]
        return "", " - ".join(filter(None, said))
