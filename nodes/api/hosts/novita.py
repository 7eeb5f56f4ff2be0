"""The dialect of Novita AI: flat bodies, reasons in capitals, one call for each poll. PPIO speaks the same.

Source: the API references of both for Wan 2.7 image-to-video, task results, balance and error codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ...core import errors
from ...core.hosts import YUAN_PER_USD
from ..dialect import Answer, Call, Dialect, Kind
from ..inputs import to_inputs
from ..json_values import Json, in_range, integer, mapping, mappings, number, short
from ..request import VideoRequest
from ..task import Balance, ResultVideo, TaskHandle, TaskResult, TaskState

NAMES = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "resolution": "resolution",
    "duration": "duration",
    "seed": "seed",
    "prompt_extend": "prompt_extend",
    "watermark": "watermark",
    "image_url": "image_url",
    "last_frame_url": "last_frame_url",
    "first_clip_url": "first_clip_url",
    "driving_audio_url": "driving_audio_url",
}

RESULT_PATH = "/v3/async/task-result"
BALANCE_PATH = "/openapi/v1/billing/balance/detail"
USD_UNITS = 10_000
"""A balance is a string in units of 0.0001 USD."""

_LARGEST_SEED = 2**63 - 1
"""More than the service accepts, and the largest number that SQLite can store."""
_LATEST_MS = 4_102_444_800_000
"""The year 2100, in milliseconds."""
_LONGEST_TTL = 10 * 366 * 86_400
"""Ten years, in seconds."""

_STATES = {
    "TASK_STATUS_QUEUED": TaskState.QUEUED,
    "TASK_STATUS_PROCESSING": TaskState.PROCESSING,
    "TASK_STATUS_RUNNING": TaskState.PROCESSING,
    "TASK_STATUS_SUCCEED": TaskState.SUCCEEDED,
    "TASK_STATUS_SUCCEEDED": TaskState.SUCCEEDED,
    "TASK_STATUS_FAILED": TaskState.FAILED,
    "TASK_STATUS_CANCELLED": TaskState.FAILED,
    "TASK_STATUS_CANCELED": TaskState.FAILED,
}

_IMAGE = (errors.MediaRefusedError, "Send the image through Wan 2.7 Upload Image (on_limit fit).")


class NovitaDialect(Dialect):
    name = "novita"
    model = "wan2.7-i2v"

    codes: ClassVar[Mapping[str, Kind | tuple[Kind, str]]] = {
        "MISSING_API_KEY": errors.AuthenticationError,
        "INVALID_API_KEY": errors.AuthenticationError,
        "BILLING_AUTH_FAILED": (errors.AuthenticationError, "Check the key, and that the account may be billed."),
        "FEATURE_NOT_ALLOWED": (errors.AuthenticationError, "The account may not use this feature; ask the vendor."),
        "API_NOT_ALLOWED": (errors.AuthenticationError, "The key may not use this model; ask the vendor."),
        "NEED_REAL_NAME_VERIFY": (errors.AuthenticationError, "The vendor requires the account to be verified first."),
        "BILLING_BALANCE_NOT_ENOUGH": errors.BalanceError,
        "ILLEGAL_PROMPT": (errors.ContentError, "The prompt was judged unsafe: reword it."),
        "ILLEGAL_IMAGE_CONTENT": (errors.ContentError, "An image was judged unsafe: use another one."),
        "IMAGE_FILE_EXCEEDS_MAX_SIZE": _IMAGE,
        "INVALID_IMAGE_FORMAT": _IMAGE,
        "IMAGE_EXCEEDS_MAX_RESOLUTION": _IMAGE,
        "INVALID_IMAGE_SIZE": _IMAGE,
        "INVALID_AUDIO_FILE": (errors.MediaRefusedError, "Send the audio through Wan 2.7 Upload Audio (on_limit fit)."),
        "API_NOT_FOUND": errors.ModelNotFoundError,
        "TASK_NOT_FOUND": errors.TaskNotFoundError,
        "RATE_LIMIT_EXCEEDED": errors.RateLimitError,
        "INVALID_REQUEST_BODY": (errors.ServiceError, "The request breaks a rule of the service."),
    }

    def submit(self, request: VideoRequest) -> Call:
        return Call("POST", f"/v3/async/{self.model}", json=to_inputs(request, NAMES))

    def read_submit(self, answer: Answer) -> TaskHandle:
        data = _unwrapped(self.payload(answer, submitting=True))
        return self.handle(data.get("task_id") or mapping(data.get("task")).get("task_id"), answer)

    def poll(self, task: TaskHandle) -> Call:
        return Call("GET", RESULT_PATH, params={"task_id": task.task_id})

    def read_poll(self, task: TaskHandle, call: Call, answer: Answer) -> TaskResult:
        data = _unwrapped(self.payload(answer))
        found, extra = mapping(data.get("task")), mapping(data.get("extra"))
        status = str(found.get("status") or "").upper()
        if not status:
            raise self.incomplete(answer, f"status for task {task.task_id}")
        state, times = _STATES.get(status, TaskState.PROCESSING), mapping(extra.get("debug_info"))
        return TaskResult(
            task_id=task.task_id,
            state=state,
            reason=str(found.get("reason") or (status if state is TaskState.FAILED else "")),
            progress_percent=in_range(found.get("progress_percent"), 100),
            eta_seconds=in_range(found.get("eta"), 86_400) or None,
            seed=integer(extra.get("seed"), _LARGEST_SEED),
            video=_video(data.get("videos")),
            canceled="CANCEL" in status,
            submitted_at_ms=integer(times.get("submit_time_ms"), _LATEST_MS) or None,
            executed_at_ms=integer(times.get("execute_time_ms"), _LATEST_MS) or None,
            completed_at_ms=integer(times.get("complete_time_ms"), _LATEST_MS) or None,
        )

    def balance(self) -> Call:
        return Call("GET", BALANCE_PATH)

    def read_balance(self, answer: Answer) -> Balance:
        data = _unwrapped(self.payload(answer))
        available, outstanding = number(data.get("availableBalance")), number(data.get("outstandingInvoices"))
        if available is None:
            raise self.incomplete(answer, "balance")
        return Balance(available / USD_UNITS, (outstanding or 0.0) / USD_UNITS)

    def said(self, answer: Answer) -> tuple[str, str]:
        data = mapping(answer.payload)
        nested = data.get("error")
        if isinstance(nested, Mapping):
            data = nested
        elif isinstance(nested, str) and "message" not in data:
            data = {**data, "message": nested}
        reason = data.get("reason") or data.get("code") or ""
        return (reason if isinstance(reason, str) else ""), short(data.get("message") or "", 500)

    def kind(self, status: int, code: str, message: str, *, submitting: bool) -> tuple[Kind, str]:
        if code == "TASK_FAILED" and not submitting:
            return errors.TaskErrorReported, ""
        return super().kind(status, code, message, submitting=submitting)


class PpioDialect(NovitaDialect):
    name = "ppio"

    def read_balance(self, answer: Answer) -> Balance:
        """Read the balance, which is in yuan here, as the prices are."""
        found = super().read_balance(answer)
        return Balance(found.available_usd / YUAN_PER_USD, found.outstanding_usd / YUAN_PER_USD)


def _video(value: Json) -> ResultVideo | None:
    """Return the first video that has a URL. A request makes one."""
    for video in mappings(value):
        url = video.get("video_url")
        if isinstance(url, str) and url:
            return ResultVideo(url, integer(video.get("video_url_ttl"), _LONGEST_TTL) or None)
    return None


def _unwrapped(payload: Json) -> Mapping[str, Json]:
    """Return an answer without the {"data": {...}} around it that some published clients expect."""
    data = mapping(payload)
    inner = data.get("data")
    if isinstance(inner, Mapping) and "task" not in data and "task_id" not in data:
        return inner
    return data
