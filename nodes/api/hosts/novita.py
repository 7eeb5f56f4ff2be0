"""The dialect of Novita AI's Wan 2.7 image-to-video API: all paths, fields and codes of this vendor.

Source: the vendor's API reference for Wan 2.7 image-to-video, task results, balance and error codes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...core import errors
from ..dialect import Call, Json
from ..request import MEDIA_FIELDS, VideoRequest
from ..task import Balance, ResultVideo, TaskResult, TaskState, check_task_id

SUBMIT_PATH = "/v3/async/wan2.7-i2v"
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

_KEY = "api_key under [novita] in config.toml, or NOVITA_API_KEY"
_REFUSED_IMAGE = (errors.MediaRefusedError, "Send the image through Wan 2.7 Upload Image (on_limit fit).")

_ADVICE: dict[str, tuple[type[errors.ServiceError], str]] = {
    "MISSING_API_KEY": (errors.AuthenticationError, f"Set {_KEY}."),
    "INVALID_API_KEY": (errors.AuthenticationError, f"Check {_KEY}."),
    "BILLING_AUTH_FAILED": (errors.AuthenticationError, f"Check {_KEY}, and that the account may be billed."),
    "FEATURE_NOT_ALLOWED": (errors.AuthenticationError, "The account may not use this feature; ask the vendor."),
    "API_NOT_ALLOWED": (errors.AuthenticationError, "The key may not use this model; ask the vendor."),
    "NEED_REAL_NAME_VERIFY": (errors.AuthenticationError, "The vendor requires the account to be verified first."),
    "BILLING_BALANCE_NOT_ENOUGH": (errors.BalanceError, "Add credit to the account, or lower duration or resolution."),
    "ILLEGAL_PROMPT": (errors.ContentError, "The prompt was judged unsafe: reword it."),
    "ILLEGAL_IMAGE_CONTENT": (errors.ContentError, "An image was judged unsafe: use another one."),
    "IMAGE_FILE_EXCEEDS_MAX_SIZE": _REFUSED_IMAGE,
    "INVALID_IMAGE_FORMAT": _REFUSED_IMAGE,
    "IMAGE_EXCEEDS_MAX_RESOLUTION": _REFUSED_IMAGE,
    "INVALID_IMAGE_SIZE": _REFUSED_IMAGE,
    "INVALID_AUDIO_FILE": (errors.MediaRefusedError, "Send the audio through Wan 2.7 Upload Audio (on_limit fit)."),
    "TASK_NOT_FOUND": (errors.TaskNotFoundError, "Check the task id, and that the key is of the same account."),
    "RATE_LIMIT_EXCEEDED": (errors.RateLimitError, "Wait a minute, or send fewer requests at once."),
    "INVALID_REQUEST_BODY": (errors.ServiceError, "The request breaks a rule of the service."),
}

_PUBLIC = "must be readable from the internet without a login"
_TASK_REASONS = (
    ("DataInspectionFailed", "The prompt, an image, the audio or the result was judged unsafe: change it."),
    ("IPInfringementSuspect", "The prompt or a media file looks like protected material: change it."),
    ("DataInspection", f"The service could not fetch a media file: its URL {_PUBLIC}."),
    ("InvalidURL", f"The service could not use a URL: it {_PUBLIC}."),
    ("InvalidParameter", "A value or a media file is outside the limits of the service."),
)
"""The first entry whose word is in the reason of a failed task applies."""


class NovitaDialect:
    def submit(self, request: VideoRequest) -> Call:
        return Call("POST", SUBMIT_PATH, json=body(request))

    def task_id(self, payload: Json) -> str:
        data = _unwrapped(payload)
        found = data.get("task_id") or _mapping(data.get("task")).get("task_id")
        try:
            return check_task_id(found)
        except errors.RequestError:
            raise errors.ServerError(f"The service's answer has no usable task_id: {_short(payload)}.") from None

    def result(self, task_id: str) -> Call:
        return Call("GET", RESULT_PATH, params={"task_id": task_id})

    def task(self, payload: Json, task_id: str) -> TaskResult:
        data = _unwrapped(payload)
        task, extra = _mapping(data.get("task")), _mapping(data.get("extra"))
        status = str(task.get("status") or "")
        if not status:
            raise errors.ServerError(f"The service's answer for task {task_id} has no status: {_short(payload)}.")
        state, times = _STATES.get(status.upper(), TaskState.PROCESSING), _mapping(extra.get("debug_info"))
        return TaskResult(
            task_id=task_id,
            state=state,
            reason=str(task.get("reason") or (status if state is TaskState.FAILED else "")),
            progress_percent=_in_range(task.get("progress_percent"), 100),
            eta_seconds=_in_range(task.get("eta"), 86_400) or None,
            seed=_integer(extra.get("seed"), _LARGEST_SEED),
            video=_video(data.get("videos")),
            submitted_at_ms=_integer(times.get("submit_time_ms"), _LATEST_MS) or None,
            executed_at_ms=_integer(times.get("execute_time_ms"), _LATEST_MS) or None,
            completed_at_ms=_integer(times.get("complete_time_ms"), _LATEST_MS) or None,
        )

    def failure_advice(self, reason: str) -> str:
        return next((advice for word, advice in _TASK_REASONS if word in reason), "")

    def balance(self) -> Call:
        return Call("GET", BALANCE_PATH)

    def account(self, payload: Json) -> Balance:
        data = _unwrapped(payload)
        available, outstanding = _number(data.get("availableBalance")), _number(data.get("outstandingInvoices"))
        if available is None:
            raise errors.ServerError(f"The service's answer with the balance cannot be read: {_short(payload)}.")
        return Balance(available / USD_UNITS, (outstanding or 0.0) / USD_UNITS)

    def error(self, status: int, payload: Json, *, submitting: bool, retry_after: float | None) -> errors.ServiceError:
        reason, message = _reason_and_message(payload)
        kind, advice = _ADVICE.get(reason) or _by_status(status, reason, submitting)
        if reason == "TASK_FAILED" and not submitting:
            kind, advice = errors.TaskErrorReported, "The service could not finish the task."
        said = " - ".join(part for part in (reason, message) if part) or "no explanation"
        return kind(f"The service answered {status}: {said}. {advice}", status=status, retry_after=retry_after)


def body(request: VideoRequest) -> dict[str, Json]:
    """Return the flat JSON body. Fields that are not set are left out, never sent as null or ""."""
    fields: dict[str, Json] = {
        "prompt": request.prompt or None,
        "negative_prompt": request.negative_prompt or None,
        **{field: getattr(request, field) or None for field in MEDIA_FIELDS},
        "resolution": request.resolution,
        "duration": request.duration,
        "seed": request.seed,
        "prompt_extend": request.prompt_extend,
        "watermark": request.watermark,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _by_status(status: int, reason: str, submitting: bool) -> tuple[type[errors.ServiceError], str]:
    if status == 404 and (submitting or reason == "API_NOT_FOUND"):
        return errors.ModelNotFoundError, (
            "The vendor retired this model, or base_url under [novita] in config.toml (WAN27_NOVITA_BASE_URL) is wrong."
        )
    if status >= 500:
        return errors.ServerError, "The service has an internal problem; try again later."
    alike = {
        401: "INVALID_API_KEY",
        402: "BILLING_BALANCE_NOT_ENOUGH",
        403: "INVALID_API_KEY",
        404: "TASK_NOT_FOUND",
        429: "RATE_LIMIT_EXCEEDED",
    }
    return _ADVICE[alike[status]] if status in alike else (errors.ServiceError, "The request was refused.")


def _reason_and_message(payload: Json) -> tuple[str, str]:
    data = _mapping(payload)
    nested = data.get("error")
    if isinstance(nested, Mapping):
        data = nested
    elif isinstance(nested, str) and "message" not in data:
        data = {**data, "message": nested}
    reason = data.get("reason") or data.get("code") or ""
    return (reason if isinstance(reason, str) else ""), _short(data.get("message") or "", 500)


def _video(value: Json) -> ResultVideo | None:
    """Return the first video that has a URL. A request makes one."""
    for video in map(_mapping, value if isinstance(value, list) else ()):
        url = video.get("video_url")
        if isinstance(url, str) and url:
            return ResultVideo(url, _integer(video.get("video_url_ttl"), _LONGEST_TTL) or None)
    return None


def _unwrapped(payload: Json) -> Mapping[str, Json]:
    """Return an answer without the {"data": {...}} around it that some published clients expect."""
    data = _mapping(payload)
    inner = data.get("data")
    if isinstance(inner, Mapping) and "task" not in data and "task_id" not in data:
        return inner
    return data


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _integer(value: Json, most: int) -> int | None:
    """Return a whole number from 0 to `most`, and None for everything else, which has no meaning."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) <= 20:
        number: float | None = int(value)
    else:
        number = value if type(value) is int else _number(value)
    return int(number) if number is not None and 0 <= number <= most else None


def _in_range(value: Json, high: float) -> float | None:
    number = _number(value)
    return None if number is None else min(max(number, 0.0), high)


def _short(value: Json, limit: int = 200) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
