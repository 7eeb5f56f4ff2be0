"""The dialect of Kie, whose answers are all HTTP 200."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nodes.api.dialect import Answer, UploadFile
from nodes.api.hosts.kie import KieDialect
from nodes.api.retry import Delivery, judge, worth_asking_again
from nodes.api.task import ResultVideo, TaskHandle, TaskResult, TaskState
from nodes.core import errors

DIALECT = KieDialect()
TASK = TaskHandle("k1")
FILE = UploadFile("abc.png", "image/png", 10)
URL = "https://tempfile.example/v.mp4"


def poll(state: str, **data: Any) -> TaskResult:
    answer = Answer(200, {"code": 200, "msg": "success", "data": {"taskId": "k1", "state": state, **data}})
    return DIALECT.read_poll(TASK, DIALECT.poll(TASK), answer)


def test_submit_answer_has_the_task_id() -> None:
    answer = Answer(200, {"code": 200, "msg": "success", "data": {"taskId": "k1"}})
    assert DIALECT.read_submit(answer) == TASK


@pytest.mark.parametrize(
    ("code", "kind", "delivery"),
    [
        (401, errors.AuthenticationError, Delivery.REFUSED),
        (402, errors.BalanceError, Delivery.REFUSED),
        (404, errors.ModelNotFoundError, Delivery.REFUSED),
        (422, errors.ServiceError, Delivery.REFUSED),
        (429, errors.RateLimitError, Delivery.RATE_LIMITED),
        (455, errors.ServerError, Delivery.REFUSED),
        (500, errors.ServerError, Delivery.UNKNOWN),
        (501, errors.ServerError, Delivery.UNKNOWN),
        (505, errors.ServerError, Delivery.UNKNOWN),
        (0, errors.ServiceError, Delivery.UNKNOWN),
    ],
)
@pytest.mark.parametrize("text", [False, True], ids=["number", "text"])
def test_submit_code_inside_a_200_is_the_status(
    code: int, kind: type[Exception], delivery: Delivery, text: bool
) -> None:
    payload = {"code": str(code) if text else code, "msg": "what it said", "data": None}
    with pytest.raises(errors.ServiceError) as caught:
        DIALECT.read_submit(Answer(200, payload))
    assert type(caught.value) is kind
    assert judge(caught.value) is delivery
    assert "what it said" in str(caught.value)


def test_submit_status_of_http_wins_if_it_is_an_error() -> None:
    assert DIALECT.status(Answer(502, {"code": 200})) == 502
    assert DIALECT.status(Answer(500, {"code": 402})) == 500


@pytest.mark.parametrize("code", [None, "soon", True, [], 10**6])
def test_submit_code_that_cannot_be_read_leaves_the_answer_as_it_is(code: Any) -> None:
    assert DIALECT.read_submit(Answer(200, {"code": code, "data": {"taskId": "k1"}})) == TASK


def test_submit_of_a_retired_model_says_what_to_do() -> None:
    answer = Answer(200, {"code": 422, "msg": "This model name is not supported"})
    with pytest.raises(errors.ModelNotFoundError, match="wan/2-7-image-to-video"):
        DIALECT.read_submit(answer)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("waiting", TaskState.QUEUED),
        ("queuing", TaskState.QUEUED),
        ("generating", TaskState.PROCESSING),
        ("invented", TaskState.PROCESSING),
        ("success", TaskState.SUCCEEDED),
        ("fail", TaskState.FAILED),
    ],
)
def test_poll_state_of_every_state(state: str, expected: TaskState) -> None:
    call = DIALECT.poll(TASK)
    assert (call.path, call.params) == ("/api/v1/jobs/recordInfo", {"taskId": "k1"})
    assert poll(state).state is expected


def test_poll_video_is_in_json_inside_json() -> None:
    assert poll("success", resultJson=json.dumps({"resultUrls": [URL]})).video == ResultVideo(URL)


@pytest.mark.parametrize(
    "result", [None, "", "{", "[]", "5", '{"resultUrls": null}', '{"resultUrls": []}', {}, "[" * 10**5]
)
def test_poll_result_that_cannot_be_read_is_no_video(result: Any) -> None:
    assert poll("success", resultJson=result).video is None


def test_poll_failure_has_its_reason() -> None:
    assert poll("fail", failCode="400", failMsg="The prompt is unsafe").reason == "400: The prompt is unsafe"
    assert poll("fail", failCode="", failMsg=None).reason == "fail"


@pytest.mark.parametrize(
    ("code", "kind", "again"),
    [
        (401, errors.AuthenticationError, False),
        (404, errors.TaskNotFoundError, False),
        (422, errors.TaskNotFoundError, False),
        (429, errors.RateLimitError, True),
        (455, errors.ServerError, True),
        (500, errors.ServerError, True),
        (501, errors.TaskErrorReported, True),
        (505, errors.ServerError, True),
    ],
)
def test_poll_code_inside_a_200_is_an_error(code: int, kind: type[Exception], again: bool) -> None:
    with pytest.raises(errors.ServiceError) as caught:
        DIALECT.read_poll(TASK, DIALECT.poll(TASK), Answer(200, {"code": code, "msg": "m", "data": None}))
    assert type(caught.value) is kind
    assert worth_asking_again(caught.value) == again


def test_balance_is_in_credits() -> None:
    assert DIALECT.balance().path == "/api/v1/chat/credit"
    assert DIALECT.read_balance(Answer(200, {"code": 200, "data": 1000})).available_usd == 5.0
    with pytest.raises(errors.AuthenticationError):
        DIALECT.read_balance(Answer(200, {"code": 401, "msg": "no"}))
    with pytest.raises(errors.ServerError):
        DIALECT.read_balance(Answer(200, {"code": 200, "data": None}))


def test_upload_is_one_form_with_the_key_at_an_address_of_its_own() -> None:
    transfer = DIALECT.upload(FILE, None)
    assert DIALECT.prepare_upload(FILE) is None
    assert (transfer.call.at, transfer.call.path, transfer.call.with_key) == (
        "upload_url",
        "/api/file-stream-upload",
        True,
    )
    assert (transfer.file_field, dict(transfer.form)) == ("file", {"uploadPath": "wan27", "fileName": "abc.png"})
    answer = Answer(200, {"success": True, "code": 200, "data": {"downloadUrl": URL}})
    assert DIALECT.read_upload(FILE, None, answer) == URL
    with pytest.raises(errors.ServerError):
        DIALECT.read_upload(FILE, None, Answer(200, {"success": False, "code": 500, "msg": "m"}))


def test_kie_lists_and_cancels_nothing() -> None:
    assert (DIALECT.list_tasks(0.0, 1.0), DIALECT.cancel(TASK)) == (None, None)
