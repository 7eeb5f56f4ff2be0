"""The dialect of Replicate."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.api.dialect import Answer, UploadFile
from nodes.api.hosts.replicate import ReplicateDialect
from nodes.api.retry import Delivery, judge
from nodes.api.task import PastTask, ResultVideo, TaskHandle, TaskResult, TaskState
from nodes.core import errors

DIALECT = ReplicateDialect()
TASK = TaskHandle("p1")
FILE = UploadFile("abc.png", "image/png", 10)
URL = "https://replicate.delivery/v.mp4"


def poll(status: str, **fields: Any) -> TaskResult:
    answer = Answer(200, {"id": "p1", "status": status, "output": None, "error": None, **fields})
    return DIALECT.read_poll(TASK, DIALECT.poll(TASK), answer)


def test_submit_answer_has_the_id() -> None:
    assert DIALECT.read_submit(Answer(201, {"id": "p1", "status": "starting", "urls": {"get": "x"}})) == TASK


@pytest.mark.parametrize(
    ("status", "state", "canceled"),
    [
        ("starting", TaskState.QUEUED, False),
        ("processing", TaskState.PROCESSING, False),
        ("invented", TaskState.PROCESSING, False),
        ("succeeded", TaskState.SUCCEEDED, False),
        ("failed", TaskState.FAILED, False),
        ("canceled", TaskState.FAILED, True),
        ("aborted", TaskState.FAILED, True),
    ],
)
def test_poll_state_of_every_status(status: str, state: TaskState, canceled: bool) -> None:
    assert DIALECT.poll(TASK).path == "/v1/predictions/p1"
    assert (poll(status).state, poll(status).canceled) == (state, canceled)


@pytest.mark.parametrize("output", [URL, [URL], [None, URL, "https://x.example/second"]])
def test_poll_output_is_a_url_or_a_list_with_it(output: Any) -> None:
    assert poll("succeeded", output=output).video == ResultVideo(URL)


@pytest.mark.parametrize("output", [None, [], {}, [{}], ""])
def test_poll_output_may_be_gone(output: Any) -> None:
    assert poll("succeeded", output=output).video is None


def test_poll_failure_has_its_reason() -> None:
    assert poll("failed", error="CUDA out of memory").reason == "CUDA out of memory"
    assert poll("canceled").reason == "canceled"


@pytest.mark.parametrize(
    ("status", "kind", "delivery"),
    [
        (401, errors.AuthenticationError, Delivery.REFUSED),
        (402, errors.BalanceError, Delivery.REFUSED),
        (404, errors.ModelNotFoundError, Delivery.REFUSED),
        (422, errors.ServiceError, Delivery.REFUSED),
        (429, errors.RateLimitError, Delivery.RATE_LIMITED),
        (503, errors.ServerError, Delivery.UNKNOWN),
    ],
)
def test_error_has_title_detail_and_fields(status: int, kind: type[Exception], delivery: Delivery) -> None:
    fields = [{"type": "invalid", "field": "input.duration", "description": "Must be at most 15"}]
    payload = {"title": "Input invalid", "detail": "see below", "status": status, "invalid_fields": fields}
    error = DIALECT.error(Answer(status, payload), submitting=True)
    assert type(error) is kind
    assert judge(error) is delivery
    assert "Input invalid - see below - input.duration: Must be at most 15" in str(error)


def test_cancel_and_key_check_and_no_balance() -> None:
    call = DIALECT.cancel(TASK)
    assert (call.method, call.path) == ("POST", "/v1/predictions/p1/cancel")
    assert DIALECT.key_check().path == "/v1/account"
    assert DIALECT.balance() is None


def test_list_pages_end_at_the_time_that_is_looked_for() -> None:
    row = {"id": "p1", "model": "wan-video/wan-2.7-i2v", "created_at": "2025-11-26T00:00:01.765994Z"}
    other = {"id": "p2", "model": "someone/else", "created_at": "2025-11-25T00:00:00Z"}
    sent = {"prompt": "p", "first_frame": "https://h.example/a.png", "resolution": "1080p", "seed": 0}
    following = "https://api.replicate.com/v1/predictions?cursor=cD0yMDIz"
    answer = Answer(200, {"previous": None, "next": following, "results": [{**row, "input": sent}, other]})
    ours = {"prompt": "p", "image_url": "https://h.example/a.png", "resolution": "1080P", "seed": 0}
    page = DIALECT.read_list(answer, 1_764_000_000.0)
    assert page.tasks == [PastTask(TASK, (1_764_115_201.0,), ours)]
    assert page.next_page == "cD0yMDIz"
    assert DIALECT.list_tasks(0.0, 0.0, page.next_page).params == {"cursor": "cD0yMDIz"}
    assert DIALECT.list_tasks(0.0, 0.0).params is None
    assert DIALECT.read_list(answer, 1_764_115_200.0).next_page == ""
    assert DIALECT.read_list(Answer(200, {"results": [], "next": None}), 0.0).next_page == ""


def test_upload_is_one_form_with_the_key() -> None:
    transfer = DIALECT.upload(FILE, None)
    assert DIALECT.prepare_upload(FILE) is None
    assert (transfer.call.path, transfer.call.with_key, transfer.file_field, dict(transfer.form)) == (
        "/v1/files",
        True,
        "content",
        {},
    )
    url = "https://api.replicate.com/v1/files/f"
    assert DIALECT.read_upload(FILE, None, Answer(201, {"id": "f", "urls": {"get": url}})) == url
    with pytest.raises(errors.AuthenticationError):
        DIALECT.read_upload(FILE, None, Answer(401, {"title": "Unauthenticated"}))
    with pytest.raises(errors.ServerError):
        DIALECT.read_upload(FILE, None, Answer(201, {}))
