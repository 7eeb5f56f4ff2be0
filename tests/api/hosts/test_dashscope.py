"""The dialect of Alibaba Model Studio."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.api.dialect import Answer, UploadFile
from nodes.api.hosts.dashscope import DashscopeDialect
from nodes.api.request import VideoRequest
from nodes.api.retry import Delivery, judge
from nodes.api.task import PastTask, ResultVideo, TaskHandle, TaskResult, TaskState
from nodes.core import errors

DIALECT = DashscopeDialect()
TASK = TaskHandle("a853-25")
FILE = UploadFile("abc.png", "image/png", 10)
POLICY = {
    "upload_host": "https://bucket.oss.example",
    "upload_dir": "dashscope-instant/d",
    "oss_access_key_id": "id",
    "policy": "p",
    "signature": "s",
    "x_oss_object_acl": "private",
    "x_oss_forbid_overwrite": "true",
}


def poll(status: str, **output: Any) -> TaskResult:
    payload = {"request_id": "r", "output": {"task_id": TASK.task_id, "task_status": status, **output}}
    return DIALECT.read_poll(TASK, DIALECT.poll(TASK), Answer(200, payload))


def test_submit_asks_for_a_task_and_for_its_own_uploads_to_be_resolved() -> None:
    plain = DIALECT.submit(VideoRequest(image_url="https://h.example/a.png"))
    uploaded = DIALECT.submit(VideoRequest(image_url="https://h.example/a.png", driving_audio_url="oss://d/a.mp3"))
    assert plain.headers == {"X-DashScope-Async": "enable"}
    assert uploaded.headers == {"X-DashScope-Async": "enable", "X-DashScope-OssResourceResolve": "enable"}


def test_submit_answer_has_the_task_id() -> None:
    payload = {"output": {"task_id": "a853-25", "task_status": "PENDING"}, "request_id": "r"}
    assert DIALECT.read_submit(Answer(200, payload)) == TASK


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("PENDING", TaskState.QUEUED),
        ("RUNNING", TaskState.PROCESSING),
        ("SUSPENDED", TaskState.PROCESSING),
        ("INVENTED", TaskState.PROCESSING),
        ("SUCCEEDED", TaskState.SUCCEEDED),
        ("FAILED", TaskState.FAILED),
        ("CANCELED", TaskState.FAILED),
    ],
)
def test_poll_state_of_every_status(status: str, state: TaskState) -> None:
    assert DIALECT.poll(TASK).path == "/api/v1/tasks/a853-25"
    assert poll(status).state is state
    assert poll(status).canceled == (status == "CANCELED")


def test_poll_success_has_the_video_and_the_prompt_that_was_sent() -> None:
    result = poll("SUCCEEDED", video_url="https://oss.example/v.mp4?Expires=1", orig_prompt="waves")
    assert (result.video, result.prompt) == (ResultVideo("https://oss.example/v.mp4?Expires=1"), "waves")


def test_poll_failure_inside_a_200_has_the_code_as_its_reason() -> None:
    result = poll("FAILED", code="DataInspectionFailed", message="Output is unsafe")
    assert (result.state, result.reason) == (TaskState.FAILED, "DataInspectionFailed: Output is unsafe")
    assert "unsafe" in DIALECT.failure_advice(result.reason)
    assert poll("FAILED").reason == "FAILED"


def test_poll_unknown_means_that_there_is_no_such_task() -> None:
    with pytest.raises(errors.TaskNotFoundError, match="keeps tasks for a day"):
        poll("UNKNOWN")


@pytest.mark.parametrize(
    ("status", "code", "kind", "delivery"),
    [
        (401, "InvalidApiKey", errors.AuthenticationError, Delivery.REFUSED),
        (403, "AccessDenied", errors.AuthenticationError, Delivery.REFUSED),
        (403, "AccessDenied.Unpurchased", errors.AuthenticationError, Delivery.REFUSED),
        (403, "Model.AccessDenied", errors.AuthenticationError, Delivery.REFUSED),
        (400, "Arrearage", errors.BalanceError, Delivery.REFUSED),
        (400, "InvalidParameter", errors.ServiceError, Delivery.REFUSED),
        (400, "InvalidParameter.DataInspection", errors.MediaRefusedError, Delivery.REFUSED),
        (400, "InvalidURL", errors.MediaRefusedError, Delivery.REFUSED),
        (400, "DataInspectionFailed", errors.ContentError, Delivery.REFUSED),
        (400, "IPInfringementSuspect", errors.ContentError, Delivery.REFUSED),
        (404, "ModelNotFound", errors.ModelNotFoundError, Delivery.REFUSED),
        (429, "Throttling", errors.RateLimitError, Delivery.RATE_LIMITED),
        (429, "Throttling.RateQuota", errors.RateLimitError, Delivery.RATE_LIMITED),
        (500, "InternalError", errors.ServerError, Delivery.UNKNOWN),
        (500, "InternalError.Timeout", errors.ServerError, Delivery.UNKNOWN),
    ],
)
def test_error_class_follows_the_code(status: int, code: str, kind: type[Exception], delivery: Delivery) -> None:
    error = DIALECT.error(Answer(status, {"code": code, "message": "words", "request_id": "r"}), submitting=True)
    assert type(error) is kind
    assert judge(error) is delivery
    assert f"{code} - words" in str(error)


def test_error_of_a_model_that_does_not_exist_says_what_to_do() -> None:
    payload = {"code": "InvalidParameter", "message": "Model not exist."}
    assert isinstance(DIALECT.error(Answer(400, payload), submitting=True), errors.ModelNotFoundError)


def test_error_of_a_key_says_that_keys_belong_to_a_region() -> None:
    error = str(DIALECT.error(Answer(401, {"code": "InvalidApiKey", "message": "Invalid API-key provided."})))
    assert "DASHSCOPE_API_KEY" in error and "region" in error
    assert "https://dashscope-intl.aliyuncs.com" in error and "https://dashscope.aliyuncs.com" in error


def test_cancel_is_possible_only_before_the_task_starts() -> None:
    call = DIALECT.cancel(TASK)
    assert (call.method, call.path) == ("POST", "/api/v1/tasks/a853-25/cancel")
    assert DIALECT.payload(Answer(200, {"request_id": "r"})) == {"request_id": "r"}
    with pytest.raises(errors.ServiceError, match="has not started"):
        DIALECT.payload(Answer(400, {"code": "UnsupportedOperation", "message": "Failed to cancel the task"}))


def test_list_window_contains_the_time_in_utc_and_in_the_zone_of_the_host() -> None:
    call = DIALECT.list_tasks(1_764_115_200.0, 1_764_118_800.0)  # 2025-11-26 00:00 and 01:00 UTC
    assert call.params == {
        "start_time": "20251126000000",
        "end_time": "20251126090000",
        "model_name": "wan2.7-i2v",
        "page_no": "1",
        "page_size": "100",
    }
    assert DIALECT.list_tasks(0.0, 0.0, "3").params["page_no"] == "3"


def test_list_rows_have_no_inputs_and_may_have_a_time() -> None:
    rows = [
        {"task_id": "one", "model_name": "wan2.7-i2v", "status": "SUCCEEDED", "gmt_create": 1745568428109},
        {"task_id": "two", "model_name": "wan2.7-i2v", "gmt_create": "2025-04-25 16:07:08"},
        {"task_id": "three", "model_name": "qwen-image"},
        {"status": "FAILED"},
    ]
    page = DIALECT.read_list(Answer(200, {"data": rows, "total": 101, "page_no": 1, "page_size": 100}), 0.0)
    assert page.tasks == [
        PastTask(TaskHandle("one"), (1745568428.109,)),
        PastTask(TaskHandle("two"), (1745597228.0, 1745568428.0)),
    ]
    assert page.next_page == "2"


@pytest.mark.parametrize(
    ("rows", "told", "following"),
    [
        (3, {"total": 7, "page_no": 1, "page_size": 3}, "2"),
        (3, {"total": 7, "page_no": 1}, "2"),
        (1, {"total": 7, "page_no": 3, "page_size": 3}, ""),
        (3, {"total": 3, "page_no": 1, "page_size": 3}, ""),
        (0, {"total": 7, "page_no": 4}, ""),
        (3, {}, ""),
    ],
    ids=["smaller-pages", "size-not-told", "last-page", "one-page", "no-rows", "nothing-told"],
)
def test_list_goes_on_until_its_end_even_if_pages_are_smaller_than_asked_for(
    rows: int, told: dict[str, int], following: str
) -> None:
    data = [{"task_id": f"t-{number}", "model_name": "wan2.7-i2v"} for number in range(rows)]
    assert DIALECT.read_list(Answer(200, {"data": data, **told}), 0.0).next_page == following


def test_upload_fills_the_form_of_the_policy_and_sends_no_key() -> None:
    ticket = Answer(200, {"data": POLICY})
    assert DIALECT.prepare_upload(FILE).params == {"action": "getPolicy", "model": "wan2.7-i2v"}
    transfer = DIALECT.upload(FILE, ticket)
    assert (transfer.call.method, transfer.call.path, transfer.call.with_key, transfer.file_field) == (
        "POST",
        "https://bucket.oss.example",
        False,
        "file",
    )
    assert dict(transfer.form) == {
        "OSSAccessKeyId": "id",
        "Signature": "s",
        "policy": "p",
        "key": "dashscope-instant/d/abc.png",
        "x-oss-object-acl": "private",
        "x-oss-forbid-overwrite": "true",
        "success_action_status": "200",
    }
    assert DIALECT.read_upload(FILE, ticket, Answer(200)) == "oss://dashscope-instant/d/abc.png"
    assert "Signature" not in repr(transfer) and "oss.example" not in repr(transfer)


def test_upload_that_was_made_before_counts_and_a_refused_one_does_not() -> None:
    ticket = Answer(200, {"data": POLICY})
    assert DIALECT.read_upload(FILE, ticket, Answer(409)) == "oss://dashscope-instant/d/abc.png"
    with pytest.raises(errors.ServiceError, match="storage answered 403") as caught:
        DIALECT.read_upload(FILE, ticket, Answer(403))
    assert "api_key" not in str(caught.value)  # it was valid a moment ago
    with pytest.raises(errors.ServerError, match="signature"):
        DIALECT.upload(FILE, Answer(200, {"data": {**POLICY, "signature": None}}))
    with pytest.raises(errors.AuthenticationError):
        DIALECT.upload(FILE, Answer(401, {"code": "InvalidApiKey"}))
