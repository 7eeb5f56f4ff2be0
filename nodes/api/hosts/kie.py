"""The dialect of Kie: every answer is HTTP 200, and a code inside says what it means.

Source: docs.kie.ai, the pages on wan/2-7-image-to-video, task details, credits and file upload.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ...core import errors
from ..dialect import Answer, Call, Capabilities, Dialect, Kind, Transfer, UploadFile
from ..inputs import to_inputs
from ..json_values import Json, integer, mapping, number, text
from ..request import VideoRequest
from ..task import Balance, ResultVideo, TaskHandle, TaskResult, TaskState

NAMES = {  # a wrong name is ignored without a word
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "resolution": "resolution",
    "duration": "duration",
    "seed": "seed",
    "prompt_extend": "prompt_extend",
    "watermark": "watermark",
    "image_url": "first_frame_url",
    "last_frame_url": "last_frame_url",
    "first_clip_url": "first_clip_url",
    "driving_audio_url": "driving_audio_url",
}

USD_PER_CREDIT = 0.005
UPLOAD_FOLDER = "wan27"

_STATES = {
    "waiting": TaskState.QUEUED,
    "queuing": TaskState.QUEUED,
    "generating": TaskState.PROCESSING,
    "success": TaskState.SUCCEEDED,
    "fail": TaskState.FAILED,
}

_MAINTENANCE = 455
_GENERATION_FAILED = 501


class KieDialect(Dialect):
    name = "kie"
    model = "wan/2-7-image-to-video"
    capabilities = Capabilities(data_uris="refused", upload_seconds=24 * 3600, public_uploads=True)

    def submit(self, request: VideoRequest) -> Call:
        body = {"model": self.model, "input": to_inputs(request, NAMES, resolution=str.lower)}
        return Call("POST", "/api/v1/jobs/createTask", json=body)

    def read_submit(self, answer: Answer) -> TaskHandle:
        return self.handle(self._data(answer, submitting=True).get("taskId"), answer)

    def poll(self, task: TaskHandle) -> Call:
        return Call("GET", "/api/v1/jobs/recordInfo", params={"taskId": task.task_id})

    def read_poll(self, task: TaskHandle, call: Call, answer: Answer) -> TaskResult:
        data = self._data(answer)
        status = text(data.get("state"))
        if not status:
            raise self.incomplete(answer, f"state for task {task.task_id}")
        state = _STATES.get(status, TaskState.PROCESSING)
        said = ": ".join(str(part) for part in (data.get("failCode"), data.get("failMsg")) if part)
        return TaskResult(
            task_id=task.task_id,
            state=state,
            reason=(said or status) if state is TaskState.FAILED else "",
            video=_video(data.get("resultJson")),
        )

    def balance(self) -> Call:
        return Call("GET", "/api/v1/chat/credit")

    def read_balance(self, answer: Answer) -> Balance:
        credit = number(mapping(self.payload(answer)).get("data"))
        if credit is None:
            raise self.incomplete(answer, "balance")
        return Balance(credit * USD_PER_CREDIT)

    def upload(self, file: UploadFile, ticket: Answer | None) -> Transfer:
        # Equal names overwrite each other: that of the file is unique to its content.
        form = {"uploadPath": UPLOAD_FOLDER, "fileName": file.name}
        return Transfer(Call("POST", "/api/file-stream-upload", at="upload_url"), "file", form)

    def read_upload(self, file: UploadFile, ticket: Answer | None, answer: Answer) -> str:
        url = text(self._data(answer).get("downloadUrl"))
        if not url:
            raise self.incomplete(answer, "URL for the upload")
        return url

    def _data(self, answer: Answer, *, submitting: bool = False) -> Mapping[str, Json]:
        return mapping(mapping(self.payload(answer, submitting=submitting)).get("data"))

    def status(self, answer: Answer) -> int:
        code = integer(mapping(answer.payload).get("code"), 999)
        return answer.status if not answer.ok or code is None else code

    def said(self, answer: Answer) -> tuple[str, str]:
        return "", text(mapping(answer.payload).get("msg"))

    def kind(self, status: int, code: str, message: str, *, submitting: bool) -> tuple[Kind, str]:
        if status == _MAINTENANCE:
            return errors.ServerError, "The host is closed for maintenance; try again later."
        if submitting and status == 422 and "model" in message.lower():
            return errors.ModelNotFoundError, ""
        if not submitting and status == 422:
            return errors.TaskNotFoundError, ""  # the only thing that a query can have wrong is the task id
        if not submitting and status == _GENERATION_FAILED:
            return errors.TaskErrorReported, ""
        return super().kind(status, code, message, submitting=submitting)


def _video(result: Json) -> ResultVideo | None:
    """Return the first URL of `resultJson`, which is JSON inside a JSON string."""
    try:
        decoded = json.loads(result) if isinstance(result, str) else result
    except (ValueError, RecursionError):
        return None
    urls = mapping(decoded).get("resultUrls")
    found = filter(None, map(text, urls if isinstance(urls, list) else ()))
    return next(map(ResultVideo, found), None)
