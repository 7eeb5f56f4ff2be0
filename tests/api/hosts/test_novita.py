"""The vendor's dialect: the body that is sent, and every shape of an answer."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.api.dialect import Answer
from nodes.api.hosts.novita import NovitaDialect
from nodes.api.request import VideoRequest
from nodes.api.task import Balance, ResultVideo, TaskHandle, TaskResult, TaskState
from nodes.core import errors

DIALECT = NovitaDialect()


def body(request: VideoRequest) -> Any:
    return DIALECT.submit(request).json


def task(payload: Any, task_id: str) -> TaskResult:
    handle = TaskHandle(task_id)
    return DIALECT.read_poll(handle, DIALECT.poll(handle), Answer(200, payload))


def task_id(payload: Any) -> str:
    return DIALECT.read_submit(Answer(200, payload)).task_id


def error(status: int, payload: Any, *, submitting: bool) -> errors.ServiceError:
    return DIALECT.error(Answer(status, payload), submitting=submitting)


def account(payload: Any) -> Balance:
    return DIALECT.read_balance(Answer(200, payload))


def answer(status: str = "TASK_STATUS_SUCCEED", **task: Any) -> dict[str, Any]:
    return {
        "extra": {
            "seed": "42",
            "debug_info": {"submit_time_ms": "1000", "execute_time_ms": "2000", "complete_time_ms": "3000"},
        },
        "task": {"task_id": "t", "status": status, "reason": "", "eta": 0, "progress_percent": 0, **task},
        "images": [],
        "audios": [],
        "videos": [{"video_url": "https://cdn.example/v.mp4", "video_url_ttl": "3600", "video_type": "mp4"}],
    }


def test_body_leaves_out_fields_that_are_not_set() -> None:
    assert body(VideoRequest(image_url="https://h.example/a.png", prompt="", negative_prompt=None)) == {
        "image_url": "https://h.example/a.png",
        "resolution": "1080P",
        "duration": 5,
        "prompt_extend": True,
        "watermark": False,
    }


def test_body_has_all_eleven_fields() -> None:
    fields: dict[str, Any] = {
        "prompt": "p",
        "negative_prompt": "n",
        "image_url": "https://h.example/a.png",
        "last_frame_url": "https://h.example/b.png",
        "first_clip_url": "https://h.example/c.mp4",
        "driving_audio_url": "https://h.example/d.mp3",
        "resolution": "720P",
        "duration": 15,
        "seed": 0,
        "prompt_extend": False,
        "watermark": True,
    }
    assert body(VideoRequest(**fields)) == fields


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("TASK_STATUS_QUEUED", TaskState.QUEUED),
        ("TASK_STATUS_PROCESSING", TaskState.PROCESSING),
        ("TASK_STATUS_RUNNING", TaskState.PROCESSING),
        ("TASK_STATUS_SUCCEED", TaskState.SUCCEEDED),
        ("TASK_STATUS_FAILED", TaskState.FAILED),
        ("TASK_STATUS_CANCELLED", TaskState.FAILED),
        ("TASK_STATUS_INVENTED_LATER", TaskState.PROCESSING),
    ],
)
def test_task_state_of_every_status_and_of_unknown_ones(status: str, state: TaskState) -> None:
    assert task(answer(status), "t").state is state


@pytest.mark.parametrize(
    ("ttl", "seconds"), [("3600", 3600), (3600, 3600), ("0", None), (0, None), (None, None), ("soon", None), (-5, None)]
)
def test_task_ttl_as_text_or_number(ttl: Any, seconds: int | None) -> None:
    payload = answer()
    payload["videos"][0]["video_url_ttl"] = ttl
    assert task(payload, "t").video == ResultVideo("https://cdn.example/v.mp4", seconds)


def test_task_numbers_may_be_text() -> None:
    result = task(answer(progress_percent="37.5", eta="12"), "t")
    assert (result.seed, result.submitted_at_ms, result.completed_at_ms) == (42, 1000, 3000)
    assert (result.progress_percent, result.eta_seconds) == (37.5, 12.0)


@pytest.mark.parametrize("odd", [None, [], "text", {"seed": {}}, {"debug_info": [1]}, {"seed": float("inf")}])
def test_task_ignores_odd_shapes_beside_the_status(odd: Any) -> None:
    payload = {**answer(), "extra": odd, "videos": odd}
    result = task(payload, "t")
    assert result.state is TaskState.SUCCEEDED
    assert (result.seed, result.video) == (None, None)


@pytest.mark.parametrize("odd", [2**63, -1, 10**400, str(2**64), "9" * 5000, 1e300, "-3", True])
def test_task_numbers_out_of_range_are_unknown(odd: Any) -> None:
    payload = answer(eta=odd, progress_percent=odd)
    payload["extra"] = {"seed": odd, "debug_info": dict.fromkeys(("submit_time_ms", "complete_time_ms"), odd)}
    payload["videos"][0]["video_url_ttl"] = odd
    result = task(payload, "t")
    assert (result.seed, result.submitted_at_ms, result.completed_at_ms) == (None, None, None)
    assert result.video == ResultVideo("https://cdn.example/v.mp4", None)


def test_task_keeps_the_largest_seed_exactly() -> None:
    assert task({**answer(), "extra": {"seed": 2**63 - 1}}, "t").seed == 2**63 - 1


def test_task_failed_without_a_reason_names_its_status() -> None:
    assert task(answer("TASK_STATUS_CANCELLED"), "t").reason == "TASK_STATUS_CANCELLED"
    assert task(answer("TASK_STATUS_CANCELLED", reason="quota"), "t").reason == "quota"
    assert task(answer(), "t").reason == ""


def test_task_inside_a_data_wrapper() -> None:
    assert task({"data": answer()}, "t") == task(answer(), "t")
    assert task_id({"data": {"task_id": "abc"}}) == "abc"


@pytest.mark.parametrize("payload", [None, [], {}, {"task": None}, {"task": {"status": ""}}, "x", {"data": []}])
def test_task_without_a_status_is_an_error(payload: Any) -> None:
    with pytest.raises(errors.ServerError):
        task(payload, "t")


@pytest.mark.parametrize("payload", [None, {}, {"task_id": ""}, {"task_id": "a/b"}, {"task_id": 7}, ["task_id"]])
def test_task_id_missing_or_unusable_is_an_error(payload: Any) -> None:
    with pytest.raises(errors.ServerError):
        task_id(payload)


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "INVALID_REQUEST_BODY", errors.ServiceError),
        (400, "IMAGE_FILE_EXCEEDS_MAX_SIZE", errors.MediaRefusedError),
        (400, "INVALID_IMAGE_FORMAT", errors.MediaRefusedError),
        (400, "IMAGE_EXCEEDS_MAX_RESOLUTION", errors.MediaRefusedError),
        (400, "INVALID_IMAGE_SIZE", errors.MediaRefusedError),
        (400, "INVALID_AUDIO_FILE", errors.MediaRefusedError),
        (400, "ILLEGAL_PROMPT", errors.ContentError),
        (400, "ILLEGAL_IMAGE_CONTENT", errors.ContentError),
        (400, "BILLING_BALANCE_NOT_ENOUGH", errors.BalanceError),
        (403, "BILLING_BALANCE_NOT_ENOUGH", errors.BalanceError),
        (400, "MISSING_API_KEY", errors.AuthenticationError),
        (401, "INVALID_API_KEY", errors.AuthenticationError),
        (403, "INVALID_API_KEY", errors.AuthenticationError),
        (401, "", errors.AuthenticationError),
        (403, "BILLING_AUTH_FAILED", errors.AuthenticationError),
        (403, "FEATURE_NOT_ALLOWED", errors.AuthenticationError),
        (403, "API_NOT_ALLOWED", errors.AuthenticationError),
        (403, "NEED_REAL_NAME_VERIFY", errors.AuthenticationError),
        (404, "TASK_NOT_FOUND", errors.TaskNotFoundError),
        (404, "", errors.TaskNotFoundError),
        (429, "RATE_LIMIT_EXCEEDED", errors.RateLimitError),
        (429, "", errors.RateLimitError),
        (500, "GET_RESULT_FAILED", errors.ServerError),
        (500, "TASK_FAILED", errors.TaskErrorReported),
        (400, "TASK_FAILED", errors.TaskErrorReported),
        (503, "", errors.ServerError),
    ],
)
def test_error_class_follows_the_reason_before_the_status(status: int, reason: str, kind: type[Exception]) -> None:
    payload = {"code": status, "reason": reason, "message": "what it said", "metadata": {}}
    found = error(status, payload, submitting=False)
    assert type(found) is kind
    assert "what it said" in str(found)
    assert str(status) in str(found)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"error": {"message": "no such key", "code": "INVALID_API_KEY"}}, "no such key"),
        ({"error": "plain words"}, "plain words"),
        ({"message": "alone"}, "alone"),
        (None, "no explanation"),
        ([1, 2], "no explanation"),
    ],
)
def test_error_reads_every_shape_of_a_body(payload: Any, said: str) -> None:
    assert said in str(error(403, payload, submitting=True))


@pytest.mark.parametrize("payload", [{"reason": "API_NOT_FOUND"}, None])
def test_error_404_on_submit_names_model_and_base_url(payload: Any) -> None:
    found = error(404, payload, submitting=True)
    assert isinstance(found, errors.ModelNotFoundError)
    assert "retired" in str(found)
    assert "base_url" in str(found)


def test_account_is_in_ten_thousandths_of_a_dollar() -> None:
    found = account({"availableBalance": "123456", "outstandingInvoices": "", "x": 1})
    assert (found.available_usd, found.outstanding_usd) == (12.3456, 0.0)
    with pytest.raises(errors.ServerError):
        account({"availableBalance": "much"})


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("InvalidParameter.DataInspection: Unable to download the media resource", "could not fetch"),
        ("DataInspectionFailed", "unsafe"),
        ("IPInfringementSuspect", "protected"),
        ("InvalidURL.Format", "URL"),
        ("something new", ""),
    ],
)
def test_failure_advice_for_reasons_of_the_model(reason: str, word: str) -> None:
    assert word in DIALECT.failure_advice(reason)
