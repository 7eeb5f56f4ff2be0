from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.service import faults as faults_module
from tests.service.client import Client
from tests.service.faults import KINDS, Faults, at


def hits(polls: int, **fault: Any) -> list[bool]:
    """Which of some polls a fault hits."""
    faults = Faults()
    faults.set(at("result", "server_error", **fault))
    return [faults.pick("result") is not None for _ in range(polls)]


def test_counts() -> None:
    assert hits(3) == [True, False, False]
    assert hits(4, count=2) == [True, True, False, False]
    assert hits(4, skip=2) == [False, False, True, False]
    assert hits(4, count=None) == [True] * 4


def test_probability_is_repeatable() -> None:
    first = hits(1000, probability=0.3, seed=5)
    assert first == hits(1000, probability=0.3, seed=5)
    assert first != hits(1000, probability=0.3, seed=6)
    assert 240 < sum(first) < 360
    assert sum(hits(1000, probability=0.5, count=3)) == 3


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"kind": "lost_answer"},
        {"at": "submit", "kind": "garbage"},
        {"at": "submit", "kind": "lost_answer", "seconds": 3},
        {"at": "submit", "kind": "lost_answer", "count": "3"},
        {"at": "submit", "kind": "lost_answer", "probability": "often"},
    ],
)
def test_faults_that_are_wrong_are_refused(fault: dict[str, Any]) -> None:
    faults = Faults()
    faults.set(at("submit", "refuse"))
    with pytest.raises(ValueError, match=r"fault|value|count|float"):
        faults.set([fault])
    assert [left["kind"] for left in faults.show()] == ["refuse"]


def test_faults_are_set_shown_and_cleared(client: Client) -> None:
    one, two = {"at": "submit", "kind": "refuse"}, {"at": "task", "kind": "slow", "seconds": 1}
    client.service.faults(one, two)
    shown = client.service.fault_hits()
    assert [(fault["at"], fault["kind"], fault["hits"]) for fault in shown] == [
        ("submit", "refuse", 0),
        ("task", "slow", 0),
    ]
    client.service.faults(two)
    assert client.service.fault_hits() == shown[1:]
    client.service.faults()
    assert client.service.fault_hits() == []


def test_faults_of_one_place_hit_in_order() -> None:
    faults = Faults()
    faults.set([*at("result", "cut", "not_found", "cut"), *at("submit", "refuse")])
    assert [fault and fault.kind for fault in (faults.pick("result") for _ in range(4))] == [
        "cut",
        "not_found",
        "cut",
        None,
    ]


def test_faults_documentation_names_every_kind() -> None:
    for kinds in KINDS.values():
        for kind, values in kinds.items():
            assert kind in (faults_module.__doc__ or "")
            assert all(value in (faults_module.__doc__ or "") for value in values)


# --- submit


def test_refusals_of_a_submit(client: Client, image_url: str) -> None:
    body = {"image_url": image_url}
    client.fault("submit", "rate_limit", retry_after=7)
    answer = client.post(body)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert answer.json()["reason"] == "RATE_LIMIT_EXCEEDED"
    client.fault("submit", "rate_limit", retry_after=None)
    assert "Retry-After" not in client.post(body).headers
    client.fault("submit", "unavailable")
    answer = client.post(body)
    assert answer.status_code == 503
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()
    client.fault("submit", "server_error")
    answer = client.post(body)
    assert (answer.status_code, answer.json()["reason"]) == (500, "CREATE_TASK_FAILED")
    client.fault("submit", "error", status=400, reason="ILLEGAL_PROMPT", nested=True, message="no")
    assert client.post(body).json() == {"error": {"message": "no", "code": "ILLEGAL_PROMPT"}}
    assert [entry["accepted"] for entry in client.service.posts()] == [False] * 5
    assert client.post(body).status_code == 200


@pytest.mark.parametrize("kind", ["lost_answer", "server_error"])
def test_a_task_can_be_made_without_the_client_knowing(client: Client, image_url: str, kind: str) -> None:
    client.fault("submit", kind, **({"made": True} if kind == "server_error" else {}))
    if kind == "lost_answer":
        with pytest.raises(httpx.TransportError):
            client.post({"image_url": image_url, "prompt": "lost"})
    else:
        assert client.post({"image_url": image_url, "prompt": "lost"}).status_code == 500
    [entry] = client.service.posts()
    assert entry["accepted"] is True
    assert entry["fault"] == kind
    assert entry["status"] == (None if kind == "lost_answer" else 500)
    assert entry["body"]["prompt"] == "lost"
    assert client.finished(entry["task_id"])["task"]["status"] == "TASK_STATUS_SUCCEED"


@pytest.mark.parametrize(("kind", "text"), [("page", "<html>"), ("no_id", '{"task_id": ""}'), ("ok", '{"task_id": "')])
def test_submit_makes_a_task_and_answers(client: Client, image_url: str, kind: str, text: str) -> None:
    client.fault("submit", kind)
    answer = client.post({"image_url": image_url})
    assert answer.status_code == 200
    assert answer.text.startswith(text)
    [entry] = client.service.posts()
    assert (entry["accepted"], entry["status"], entry["fault"]) == (True, 200, kind)
    assert client.result(entry["task_id"])


def test_refused_before_it_is_taken(client: Client, image_url: str) -> None:
    client.fault("submit", "refuse", count=2)
    for _ in range(2):
        with pytest.raises(httpx.TransportError):
            client.post({"image_url": image_url})
    client.submit({"image_url": image_url})
    assert [(entry["accepted"], entry["fault"]) for entry in client.service.posts()] == [
        (False, "refuse"),
        (False, "refuse"),
        (True, None),
    ]


def test_an_answer_that_comes_too_late(client: Client, image_url: str) -> None:
    client.fault("submit", "slow", seconds=0.5)
    with pytest.raises(httpx.ReadTimeout):
        client.post({"image_url": image_url}, timeout=0.2)
    [entry] = client.service.posts()
    assert entry["accepted"] is True
    assert client.result(entry["task_id"])


# --- result


def test_faults_of_a_poll(client: Client, image_url: str) -> None:
    task_id = client.submit({"image_url": image_url})
    client.finished(task_id)

    def poll() -> httpx.Response:
        return client.poll(task_id)

    client.fault("result", "rate_limit")
    assert (poll().status_code, poll().status_code) == (429, 200)
    client.fault("result", "server_error")
    assert poll().json()["reason"] == "GET_RESULT_FAILED"
    client.fault("result", "unavailable")
    assert poll().status_code == 503
    client.fault("result", "broken_json")
    answer = poll()
    assert answer.headers["Content-Type"].startswith("application/json")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()
    client.fault("result", "data_wrapper")
    assert poll().json()["data"]["task"]["status"] == "TASK_STATUS_SUCCEED"
    for status in ("TASK_STATUS_RUNNING", "TASK_STATUS_CANCELLED", "TASK_STATUS_UNHEARD_OF"):
        client.fault("result", "status", value=status)
        assert poll().json()["task"]["status"] == status
    client.fault("result", "missing_ttl")
    assert "video_url_ttl" not in poll().json()["videos"][0]
    for ttl in ("0", 3600):
        client.fault("result", "edit", ttl=ttl)
        assert poll().json()["videos"][0]["video_url_ttl"] == ttl
    client.fault("result", "edit", extra={"seed": 2**64})
    assert poll().json()["extra"] == {"seed": 2**64}
    client.fault("result", "processing")
    assert poll().json()["task"]["status"] == "TASK_STATUS_PROCESSING"
    for kind, status, reason in (
        ("not_found", 404, "TASK_NOT_FOUND"),
        ("unauthorized", 403, "INVALID_API_KEY"),
        ("task_failed", 500, "TASK_FAILED"),
    ):
        client.fault("result", kind)
        answer = poll()
        assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    client.fault("result", "slow", seconds=0.5)
    with pytest.raises(httpx.ReadTimeout):
        client.poll(task_id, timeout=0.2)
    client.fault("result", "cut")
    with pytest.raises(httpx.TransportError):
        poll()


# --- task, upload


def test_a_task_that_fails(client: Client, image_url: str) -> None:
    client.fault("task", "fail", reason="DataInspectionFailed: no", prompt="bad")
    good = client.submit({"image_url": image_url, "prompt": "good"})
    assert client.reason({"image_url": image_url, "prompt": "very bad"}) == "DataInspectionFailed: no"
    assert client.finished(good)["task"]["status"] == "TASK_STATUS_SUCCEED"


def test_a_task_that_takes_long(client: Client, image_url: str) -> None:
    client.fault("task", "slow", seconds=100)
    task = client.result(client.submit({"image_url": image_url}))["task"]
    assert task["status"] == "TASK_STATUS_PROCESSING"
    assert 90 < task["eta"] <= 100


def test_faults_of_an_upload(client: Client) -> None:
    url = f"{client.base_url}/sandbox/media/a.png"
    client.fault("upload", "server_error")
    assert client.plain.put(url, content=b"abc").status_code == 500
    client.fault("upload", "unavailable")
    assert client.plain.put(url, content=b"abc").status_code == 503
    client.fault("upload", "slow", seconds=0.5)
    with pytest.raises(httpx.ReadTimeout):
        client.plain.put(url, content=b"abc", timeout=0.2)
