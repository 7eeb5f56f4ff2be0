"""The dialect of fal."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.api.dialect import Answer, Call, UploadFile
from nodes.api.hosts.fal import FalDialect
from nodes.api.retry import Delivery, judge
from nodes.api.task import PastTask, ResultVideo, TaskHandle, TaskResult, TaskState
from nodes.core import errors

DIALECT = FalDialect()
BASE = "https://queue.fal.run/fal-ai/wan/requests/r-1"
URLS = {"status_url": f"{BASE}/status", "response_url": BASE, "cancel_url": f"{BASE}/cancel"}
TASK = TaskHandle("r-1", URLS)
PASTED = TaskHandle("r-1")
FILE = UploadFile("abc.png", "image/png", 10)
OUTCOME = Call("GET", BASE)


def poll(payload: Any, status: int = 200, task: TaskHandle = TASK) -> TaskResult | Call:
    return DIALECT.read_poll(task, DIALECT.poll(task), Answer(status, payload))


def outcome(status: int, payload: Any, **headers: str) -> TaskResult | Call:
    answer = Answer(status, payload, {name.replace("_", "-"): value for name, value in headers.items()})
    return DIALECT.read_poll(TASK, OUTCOME, answer)


def test_submit_answer_is_kept_with_its_urls() -> None:
    payload = {"request_id": "r-1", **URLS, "status": "IN_QUEUE", "queue_position": 3}
    assert DIALECT.read_submit(Answer(200, payload)) == TASK
    assert DIALECT.read_submit(Answer(200, {"request_id": "r-1"})) == PASTED


def test_poll_uses_the_kept_urls_and_builds_them_for_a_pasted_task() -> None:
    assert DIALECT.poll(TASK).path == f"{BASE}/status"
    assert DIALECT.cancel(TASK).path == f"{BASE}/cancel"
    assert DIALECT.poll(PASTED).path == "/fal-ai/wan/requests/r-1/status"
    assert DIALECT.cancel(PASTED).path == "/fal-ai/wan/requests/r-1/cancel"
    assert poll({"status": "COMPLETED"}, task=PASTED) == Call("GET", "/fal-ai/wan/requests/r-1")


@pytest.mark.parametrize(
    ("status", "state"),
    [("IN_QUEUE", TaskState.QUEUED), ("IN_PROGRESS", TaskState.PROCESSING), ("INVENTED", TaskState.PROCESSING)],
)
def test_poll_state_of_every_status(status: str, state: TaskState) -> None:
    assert poll({"status": status}) == TaskResult("r-1", state)


def test_poll_completed_asks_for_the_outcome() -> None:
    assert poll({"status": "COMPLETED", "error": None}) == OUTCOME
    result = outcome(200, {"video": {"url": "https://v3.fal.media/v.mp4"}, "seed": 7, "actual_prompt": "p"})
    assert result == TaskResult("r-1", TaskState.SUCCEEDED, seed=7, video=ResultVideo("https://v3.fal.media/v.mp4"))


def test_poll_completed_with_an_error_is_a_failed_task() -> None:
    payload = {"status": "COMPLETED", "error": "no download", "error_type": "file_download_error"}
    assert poll(payload) == TaskResult("r-1", TaskState.FAILED, "file_download_error: no download")
    assert "could not fetch" in DIALECT.failure_advice("file_download_error: no download")
    assert "unsafe" in DIALECT.failure_advice("content_policy_violation: no")


def test_outcome_of_a_failed_run_is_its_reason() -> None:
    problem = {"loc": ["body", "image_url"], "msg": "Too small", "type": "image_too_small"}
    result = outcome(422, {"detail": [problem]})
    assert result == TaskResult("r-1", TaskState.FAILED, "image_url: Too small")
    flagged = outcome(422, {"detail": [{**problem, "type": "content_policy_violation"}]})
    assert isinstance(flagged, TaskResult) and flagged.reason.startswith("content_policy_violation: ")
    assert outcome(400, {"detail": "Request is still in progress"}) == TaskResult("r-1", TaskState.PROCESSING)
    assert outcome(400, {"detail": "In progress"}) == TaskResult("r-1", TaskState.PROCESSING)


@pytest.mark.parametrize(
    ("status", "payload", "kind"),
    [
        (401, {"detail": "no"}, errors.AuthenticationError),
        (400, None, errors.ServiceError),
        (404, {"detail": "no"}, errors.TaskNotFoundError),
        (413, {"message": "from a proxy"}, errors.ServiceError),
        (429, {"detail": "slow down"}, errors.RateLimitError),
        (500, {"detail": [{"loc": ["body"], "msg": "it broke", "type": "internal_error"}]}, errors.TaskErrorReported),
        (500, {"detail": "Internal server error"}, errors.ServerError),
        (502, None, errors.ServerError),
        (200, None, errors.ServerError),
    ],
)
def test_outcome_that_says_nothing_final_is_asked_again(status: int, payload: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        outcome(status, payload)
    assert type(caught.value) is kind


def test_outcome_with_an_error_type_may_be_of_the_run() -> None:
    with pytest.raises(errors.TaskErrorReported, match="too slow"):
        outcome(504, {"detail": "too slow"}, x_fal_error_type="request_timeout")


@pytest.mark.parametrize(
    ("status", "payload", "kind", "delivery"),
    [
        (401, {"detail": "Cannot access application"}, errors.AuthenticationError, Delivery.REFUSED),
        (402, {"detail": "Pay"}, errors.BalanceError, Delivery.REFUSED),
        (403, {"detail": "User is locked. Reason: Exhausted balance."}, errors.BalanceError, Delivery.REFUSED),
        (403, {"detail": "User is locked. Reason: Admin lock."}, errors.AuthenticationError, Delivery.REFUSED),
        (404, {"detail": "Application not found"}, errors.ModelNotFoundError, Delivery.REFUSED),
        (422, {"detail": [{"loc": ["body", "duration"], "msg": "bad"}]}, errors.ServiceError, Delivery.REFUSED),
        (422, {"detail": [{"type": "content_policy_violation"}]}, errors.ContentError, Delivery.REFUSED),
        (422, {"detail": [{"type": "file_download_error"}]}, errors.MediaRefusedError, Delivery.REFUSED),
        (429, {"detail": "Too many"}, errors.RateLimitError, Delivery.RATE_LIMITED),
        (500, {"detail": "Internal"}, errors.ServerError, Delivery.UNKNOWN),
        (504, "gateway", errors.ServerError, Delivery.UNKNOWN),
    ],
)
def test_error_class_of_a_submit(status: int, payload: Any, kind: type[Exception], delivery: Delivery) -> None:
    error = DIALECT.error(Answer(status, payload), submitting=True)
    assert type(error) is kind
    assert judge(error) is delivery


def test_error_type_may_be_in_a_header() -> None:
    answer = Answer(422, {"detail": "refused"}, {"x-fal-error-type": "content_policy_violation"})
    error = DIALECT.error(answer, submitting=True)
    assert isinstance(error, errors.ContentError)
    assert "content_policy_violation - refused" in str(error)


def test_balance_is_in_dollars_and_the_key_is_checked_with_the_list() -> None:
    assert (
        DIALECT.read_balance(Answer(200, {"credits": {"current_balance": 24.5, "currency": "USD"}})).available_usd
        == 24.5
    )
    with pytest.raises(errors.ServerError):
        DIALECT.read_balance(Answer(200, {"username": "u"}))
    check = DIALECT.key_check()
    assert (check.at, check.params) == ("list_url", {"endpoint_id": "fal-ai/wan/v2.7/image-to-video", "limit": "1"})


def test_list_window_and_pages() -> None:
    call = DIALECT.list_tasks(1_764_115_200.0, 1_764_118_800.5, "next")
    assert (call.method, call.path, call.at) == ("GET", "/v1/models/requests/by-endpoint", "list_url")
    assert call.params == {
        "endpoint_id": "fal-ai/wan/v2.7/image-to-video",
        "start": "2025-11-26T00:00:00Z",
        "end": "2025-11-26T01:00:00Z",
        "limit": "100",
        "expand": "payloads",
        "cursor": "next",
    }


def test_list_rows_are_in_our_own_names() -> None:
    sent = {"prompt": "p", "resolution": "720p", "duration": 5, "enable_prompt_expansion": True, "end_image_url": "u"}
    row = {"request_id": "r-1", "sent_at": "2025-11-26T00:00:01.5Z", "status_code": 200, "json_input": sent}
    page = DIALECT.read_list(Answer(200, {"items": [row, {}], "next_cursor": None, "has_more": False}), 0.0)
    ours = {"prompt": "p", "resolution": "720P", "duration": 5, "prompt_extend": True, "last_frame_url": "u"}
    assert page.tasks == [PastTask(PASTED, (1_764_115_201.0,), ours)]
    assert page.next_page == ""
    assert DIALECT.read_list(Answer(200, {"items": [], "next_cursor": "c"}), 0.0).next_page == "c"


def test_upload_is_initiated_with_the_key_and_sent_without() -> None:
    first = DIALECT.prepare_upload(FILE)
    assert (first.method, first.path, first.at, first.with_key) == (
        "POST",
        "/storage/upload/initiate",
        "upload_url",
        True,
    )
    assert first.params == {"storage_type": "fal-cdn-v3"}
    assert first.json == {"file_name": "abc.png", "content_type": "image/png"}
    assert first.headers == {"X-Fal-Object-Lifecycle-Preference": '{"expiration_duration_seconds": 86400}'}
    ticket = Answer(200, {"upload_url": "https://up.example/x?sig=1", "file_url": "https://v3.fal.media/abc.png"})
    transfer = DIALECT.upload(FILE, ticket)
    assert (transfer.call.method, transfer.call.path) == ("PUT", "https://up.example/x?sig=1")
    assert (transfer.call.with_key, transfer.file_field) == (False, "")
    assert DIALECT.read_upload(FILE, ticket, Answer(200)) == "https://v3.fal.media/abc.png"
    with pytest.raises(errors.ServiceError, match="storage answered 403") as caught:
        DIALECT.read_upload(FILE, ticket, Answer(403))
    assert "api_key" not in str(caught.value)  # it was valid a moment ago
    with pytest.raises(errors.ServerError, match="upload_url"):
        DIALECT.upload(FILE, Answer(200, {}))
