from __future__ import annotations

import base64
import hashlib
import json
import socket
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from nodes.sandbox.routes.service import RESULT_PATH, SUBMIT_PATH
from tests.media_files import clip_bytes, flat, gradient, image_bytes, wav_bytes
from tests.service.client import Client


def problem(answer: httpx.Response, status: int, reason: str) -> str:
    """Check an error in the vendor's shape; return its message."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"code", "reason", "message", "metadata"}
    assert (body["code"], body["reason"], body["metadata"]) == (status, reason, {})
    return body["message"]


def test_task_from_submit_to_video(client: Client, image_url: str) -> None:
    answer = client.post({"image_url": image_url, "duration": 2, "resolution": "720P", "seed": 42})
    assert answer.status_code == 200
    assert list(answer.json()) == ["task_id"]
    result = client.finished(answer.json()["task_id"])
    times = result["extra"]["debug_info"]
    assert result["extra"]["seed"] == "42"
    assert int(times["submit_time_ms"]) <= int(times["execute_time_ms"]) <= int(times["complete_time_ms"])
    assert result["task"] == {
        "task_id": answer.json()["task_id"],
        "status": "TASK_STATUS_SUCCEED",
        "reason": "",
        "task_type": "WAN_2_7_I2V",
        "eta": 0,
        "progress_percent": 100,
    }
    assert result["images"] == result["audios"] == []
    [video] = result["videos"]
    assert video["video_url_ttl"] == "3600"
    assert video["video_type"] == "mp4"
    data = client.download(video["video_url"])
    assert (data.status_code, data.headers["Content-Type"], data.content[4:8]) == (200, "video/mp4", b"ftyp")


def test_submit_uses_the_documented_defaults(client: Client, image_url: str) -> None:
    task_id = client.post({"image_url": image_url}).json()["task_id"]
    result = client.finished(task_id)
    assert 0 <= int(result["extra"]["seed"]) <= 2147483647
    from io import BytesIO

    import av

    with av.open(BytesIO(client.download(result["videos"][0]["video_url"]).content)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (1648, 1232, 5 * 2)


def test_task_is_queued_then_processed_for_its_time(run: Callable[..., Client]) -> None:
    client = run(queue_seconds=1.5, task_seconds=1.4)
    task_id = client.submit({"image_url": client.upload("a.png", flat(240, 240))})
    seen: list[tuple[str, int, int]] = []
    while not seen or seen[-1][0] not in ("TASK_STATUS_SUCCEED", "TASK_STATUS_FAILED"):
        result = client.result(task_id)
        task = result["task"]
        seen.append((task["status"], task["progress_percent"], task["eta"]))
        assert bool(result["videos"]) == (task["status"] == "TASK_STATUS_SUCCEED")
    states = list(dict.fromkeys(state for state, _, _ in seen))
    assert states == ["TASK_STATUS_QUEUED", "TASK_STATUS_PROCESSING", "TASK_STATUS_SUCCEED"]
    progress = [percent for _, percent, _ in seen]
    assert progress == sorted(progress)
    assert any(0 < percent < 100 for percent in progress)
    etas = [eta for _, _, eta in seen]
    assert etas == sorted(etas, reverse=True)
    assert (etas[0], etas[-1]) == (3, 0)
    times = client.result(task_id)["extra"]["debug_info"]
    assert int(times["complete_time_ms"]) - int(times["submit_time_ms"]) >= 2900


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"Authorization": ""}, 401, "MISSING_API_KEY"),
        ({"Authorization": "Bearer"}, 401, "MISSING_API_KEY"),
        ({"Authorization": "Basic abc"}, 401, "MISSING_API_KEY"),
        ({"Authorization": "Bearer bad-key"}, 401, "INVALID_API_KEY"),
        ({"Authorization": "Bearer bad-key-403"}, 403, "INVALID_API_KEY"),
    ],
)
def test_key_is_required_everywhere(client: Client, headers: dict[str, str], status: int, reason: str) -> None:
    body = {"image_url": "https://example.com/a.png"}
    problem(client.post(body, headers=headers), status, reason)
    problem(client.poll(str(uuid.uuid4()), headers=headers), status, reason)
    problem(client.http.get("/openapi/v1/billing/balance/detail", headers=headers), status, reason)
    assert [entry["accepted"] for entry in client.service.posts()] == [False]


@pytest.mark.parametrize(("key", "status"), [("no-balance", 400), ("no-balance-403", 403)])
def test_key_without_balance_is_refused(client: Client, key: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    answer = client.post({"image_url": "https://example.com/a.png"}, headers=headers)
    problem(answer, status, "BILLING_BALANCE_NOT_ENOUGH")
    balance = client.http.get("/openapi/v1/billing/balance/detail", headers=headers).json()
    assert balance["availableBalance"] == "0"


def test_balance_is_in_documented_units(client: Client) -> None:
    balance = client.http.get("/openapi/v1/billing/balance/detail").json()
    assert set(balance) == {"availableBalance", "cashBalance", "creditLimit", "outstandingInvoices"}
    assert all(isinstance(value, str) and value.isdecimal() for value in balance.values())


@pytest.mark.parametrize("task_id", ["5f3c0d4e-8a51-4d7b-9f0e-0c2f6a1b", "no-such-task", "../secret", "a b", "x" * 300])
def test_result_of_an_unknown_task_is_404(client: Client, task_id: str) -> None:
    problem(client.poll(task_id), 404, "TASK_NOT_FOUND")


def test_result_requires_an_id(client: Client) -> None:
    problem(client.http.get(RESULT_PATH), 400, "INVALID_REQUEST_BODY")


@pytest.mark.parametrize("path", ["/v3/async/wan2.8-i2v", "/v3/async/wan2.7-i2v/x", "/"])
def test_unknown_routes_are_404(client: Client, path: str) -> None:
    problem(client.http.post(path, json={}), 404, "API_NOT_FOUND")


def test_submit_refuses_bodies_that_break_a_rule(client: Client) -> None:
    assert "required" in problem(client.post({}), 400, "INVALID_REQUEST_BODY")
    long = {"image_url": "https://example.com/a.png", "prompt": "猫" * 5001}
    assert "5001" in problem(client.post(long), 400, "INVALID_REQUEST_BODY")
    assert "JSON" in problem(
        client.http.post(SUBMIT_PATH, content=b"{", headers={"Content-Type": "application/json"}),
        400,
        "INVALID_REQUEST_BODY",
    )
    text = json.dumps({"image_url": "https://example.com/a.png"}).encode()
    answer = client.http.post(SUBMIT_PATH, content=text, headers={"Content-Type": "text/plain"})
    assert "Content-Type" in problem(answer, 400, "INVALID_REQUEST_BODY")
    wrong = {"image_url": "data:image/png;base64,abcde"}
    assert "base64" in problem(client.post(wrong), 400, "INVALID_REQUEST_BODY")
    log = client.service.posts()
    assert [(entry["status"], entry["accepted"], entry["task_id"]) for entry in log] == [(400, False, None)] * 5


def test_submit_refuses_a_huge_body(run: Callable[..., Client]) -> None:
    client = run(max_body_bytes=10_000)
    problem(client.post({"image_url": "https://e.com/a", "prompt": "x" * 20_000}), 413, "INVALID_REQUEST_BODY")
    assert [entry["status"] for entry in client.service.posts()] == [413]


def inline(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize(
    "media",
    [
        {"image_url": "png"},
        {"image_url": "png", "driving_audio_url": "wav"},
        {"image_url": "png", "last_frame_url": "png"},
        {"image_url": "png", "last_frame_url": "png", "driving_audio_url": "wav"},
        {"first_clip_url": "mp4", "duration": 3},
        {"first_clip_url": "mp4", "last_frame_url": "png", "duration": 3},
        {"image_url": "inline", "last_frame_url": "inline"},
    ],
    ids=" ".join,
)
def test_submit_accepts_every_legal_combination_of_media(client: Client, media: dict[str, Any]) -> None:
    files = {"png": flat(320, 240), "wav": wav_bytes(2), "mp4": clip_bytes(2)}
    urls = {name: client.upload(f"a.{name}", data) for name, data in files.items()}
    urls["inline"] = inline(files["png"])
    body = {field: urls.get(value, value) if isinstance(value, str) else value for field, value in media.items()}
    assert client.download(client.video_url(body)).status_code == 200


@pytest.mark.parametrize(
    ("field", "name", "data", "word"),
    [
        ("image_url", "a.png", flat(239, 240), "239x240"),
        ("image_url", "a.png", flat(240, 240, "RGBA"), "transparency"),
        ("image_url", "a.png", clip_bytes(2), "not a JPEG"),
        ("last_frame_url", "a.png", flat(1921, 240), "aspect"),
        ("driving_audio_url", "a.wav", wav_bytes(1.9), "1.900 s"),
        ("driving_audio_url", "a.mp3", b"nothing", "not a wav or mp3"),
        ("first_clip_url", "a.mp4", clip_bytes(1.5), "1.500 s"),
        ("first_clip_url", "a.mp4", clip_bytes(2), "longer than the clip"),
        ("first_clip_url", "a.mp4", clip_bytes(2.5), "longer than the clip"),
    ],
)
def test_task_checks_its_media(client: Client, image_url: str, field: str, name: str, data: bytes, word: str) -> None:
    body = {} if field in ("image_url", "first_clip_url") else {"image_url": image_url}
    reason = client.reason({**body, field: client.upload(name, data)})
    assert reason.startswith("InvalidParameter: ")
    assert word in reason


def test_task_checks_inline_images(client: Client) -> None:
    assert "not a JPEG" in client.reason({"image_url": inline(b"not an image")})


def digest(client: Client, body: dict[str, Any]) -> str:
    """Submit what has to work; return the SHA-256 of its video."""
    return hashlib.sha256(client.download(client.video_url(body)).content).hexdigest()


def test_media_are_identified_by_content(client: Client, image_url: str) -> None:
    same = {"image_url": image_url, "seed": 5}
    again = {"image_url": client.upload("other-name.png", flat(320, 240)), "seed": 5}
    inline_body = {"image_url": inline(flat(320, 240)), "seed": 5}
    other = {"image_url": client.upload("first.png", image_bytes(gradient(320, 240))), "seed": 5}
    videos = [digest(client, body) for body in (same, again, inline_body, other)]
    assert videos[0] == videos[1] == videos[2] != videos[3]
    assert len({entry["fingerprint"] for entry in client.service.posts()}) == 2
    assert len({entry["task_id"] for entry in client.service.posts()}) == 4


def test_video_has_the_same_bytes_in_another_sandbox(run: Callable[..., Client], tmp_path: Any) -> None:
    videos = []
    for name in ("one", "two"):
        client = run(state=tmp_path / name)
        url = client.upload("a.png", flat(320, 240))
        videos.append(digest(client, {"image_url": url, "seed": 1}))
    assert videos[0] == videos[1]


def test_submit_of_a_client_that_dies_makes_a_task(client: Client, image_url: str) -> None:
    body = json.dumps({"image_url": image_url, "duration": 2, "resolution": "720P", "prompt": "gone"}).encode()
    url = httpx.URL(client.base_url)
    head = (
        f"POST {SUBMIT_PATH} HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nAuthorization: Bearer k\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port or 0)) as connection:
        connection.sendall(head.encode() + body)
    end = time.monotonic() + 60
    while not (log := client.service.posts()):
        assert time.monotonic() < end
    assert (log[0]["accepted"], log[0]["body"]["prompt"]) == (True, "gone")
    assert client.finished(log[0]["task_id"])["task"]["status"] == "TASK_STATUS_SUCCEED"


def test_submit_with_half_a_body_makes_no_task(client: Client) -> None:
    url = httpx.URL(client.base_url)
    head = (
        f"POST {SUBMIT_PATH} HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nAuthorization: Bearer k\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    )
    with socket.create_connection((url.host, url.port or 0)) as connection:
        connection.sendall(head.encode())
    assert client.post({}).status_code == 400
    assert [entry["accepted"] for entry in client.service.posts() if entry["accepted"]] == []


def test_polls_beyond_the_rate_are_refused(run: Callable[..., Client]) -> None:
    client = run(requests_per_minute=3)
    task_id = client.submit({"image_url": client.upload("a.png", flat(240, 240))})
    answers = [client.poll(task_id) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    problem(answers[-1], 429, "RATE_LIMIT_EXCEEDED")
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    other = client.poll(task_id, headers={"Authorization": "Bearer another"})
    assert other.status_code == 200


def test_tasks_run_at_the_same_time(run: Callable[..., Client]) -> None:
    client = run(task_seconds=2)
    url = client.upload("a.png", flat(240, 240))
    ids = [client.submit({"image_url": url, "seed": seed}) for seed in range(4)]
    times = [client.finished(task_id)["extra"]["debug_info"] for task_id in ids]
    assert max(int(time["submit_time_ms"]) for time in times) < min(int(time["complete_time_ms"]) for time in times)
