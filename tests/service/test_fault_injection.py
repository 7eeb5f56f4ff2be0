from __future__ import annotations

import time

import httpx
import pytest

from tests.media_files import flat
from tests.service.client import Client

# --- submit


def test_submit_is_refused(client: Client, image_url: str) -> None:
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
def test_submit_makes_a_task_without_the_client_knowing(client: Client, image_url: str, kind: str) -> None:
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


def test_submit_refused_makes_no_task(client: Client, image_url: str) -> None:
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


def test_submit_answer_that_comes_too_late(client: Client, image_url: str) -> None:
    client.fault("submit", "slow", seconds=0.5)
    with pytest.raises(httpx.ReadTimeout):
        client.post({"image_url": image_url}, timeout=0.2)
    while not client.service.posts():  # a slow machine gets to it later
        time.sleep(0.01)
    [entry] = client.service.posts()
    assert entry["accepted"] is True
    assert client.result(entry["task_id"])


# --- result


def test_result_faults(client: Client, image_url: str) -> None:
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
    client.fault("result", "cut")
    with pytest.raises(httpx.TransportError):
        poll()
    client.fault("result", "slow", seconds=0.5)
    with pytest.raises(httpx.ReadTimeout):
        client.poll(task_id, timeout=0.2)


# --- task, upload


def test_task_fails(client: Client, image_url: str) -> None:
    client.fault("task", "fail", reason="DataInspectionFailed: no", prompt="bad")
    good = client.submit({"image_url": image_url, "prompt": "good"})
    assert client.reason({"image_url": image_url, "prompt": "very bad"}) == "DataInspectionFailed: no"
    assert client.finished(good)["task"]["status"] == "TASK_STATUS_SUCCEED"


def test_task_takes_longer(client: Client, image_url: str) -> None:
    client.fault("task", "slow", seconds=100)
    task = client.result(client.submit({"image_url": image_url}))["task"]
    assert task["status"] == "TASK_STATUS_PROCESSING"
    assert 90 < task["eta"] <= 100


def test_upload_faults(client: Client) -> None:
    url = f"{client.base_url}/sandbox/media/a.png"
    client.fault("upload", "server_error")
    assert client.plain.put(url, content=b"abc").status_code == 500
    client.fault("upload", "unavailable")
    assert client.plain.put(url, content=b"abc").status_code == 503
    client.fault("upload", "slow", seconds=0.5)
    with pytest.raises(httpx.ReadTimeout):
        client.plain.put(url, content=b"abc", timeout=0.2)


# --- download


@pytest.fixture(scope="module")
def video(shared: Client) -> tuple[str, bytes]:
    """Return the URL and the content of a finished video."""
    url = shared.video_url({"image_url": shared.upload("a.png", flat(320, 240)), "prompt": "a cat"})
    return url, shared.download(url).content


def cut_off(client: Client, url: str, **headers: str) -> bytes:
    """Return what arrives before the connection breaks."""
    got = b""
    with pytest.raises(httpx.RemoteProtocolError), client.plain.stream("GET", url, headers=headers) as answer:
        for chunk in answer.iter_raw():
            got += chunk
    return got


def test_download_cut_after_some_bytes(client: Client, video: tuple[str, bytes]) -> None:
    url, data = video
    client.fault("download", "cut", bytes=1234)
    assert cut_off(client, url) == data[:1234]
    assert client.download(url).content == data


def test_download_cut_at_random_can_be_resumed(client: Client, video: tuple[str, bytes]) -> None:
    url, data = video
    client.fault("download", "cut", count=5)
    got, lengths = b"", []
    for _ in range(5):
        part = cut_off(client, url, Range=f"bytes={len(got)}-")
        lengths.append(len(part))
        got += part
    rest = client.download(url, headers={"Range": f"bytes={len(got)}-"})
    assert got + rest.content == data
    assert len(set(lengths)) > 1


def test_download_ignores_range(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "ignore_range")
    got = client.download(video[0], headers={"Range": "bytes=100-"})
    assert (got.status_code, got.content) == (200, video[1])


def test_download_expired_unavailable_and_redirect(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "expired")
    assert client.download(video[0]).status_code == 403
    client.fault("download", "unavailable")
    assert client.download(video[0]).status_code == 503
    client.fault("download", "redirect", url="http://10.0.0.1/x.mp4")
    got = client.download(video[0])
    assert (got.status_code, got.headers["Location"]) == (302, "http://10.0.0.1/x.mp4")


def test_download_with_wrong_length(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "wrong_length", by=10)
    with client.plain.stream("GET", video[0]) as answer:
        assert int(answer.headers["Content-Length"]) == len(video[1]) + 10
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()


def test_download_in_slow_chunks(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "slow", seconds=0, chunk=1000)
    assert client.download(video[0]).content == video[1]


def test_download_of_garbage(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "garbage")
    got = client.download(video[0])
    assert got.status_code == 200
    assert b"ftyp" not in got.content
    assert len(got.content) > 1000


@pytest.mark.parametrize(("kind", "status"), [("server_error", 500), ("page", 200)])
def test_download_of_an_error_or_a_page(client: Client, video: tuple[str, bytes], kind: str, status: int) -> None:
    client.fault("download", kind)
    got = client.download(video[0])
    assert got.status_code == status
    assert b"ftyp" not in got.content


def test_download_half_is_a_whole_answer(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "half")
    got = client.download(video[0])
    assert (got.status_code, got.content) == (200, video[1][: len(video[1]) // 2])


def test_download_redirect_leads_to_the_same_url(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "redirect")
    assert client.download(video[0], follow_redirects=True).content == video[1]


def test_download_fault_for_one_prompt(client: Client, video: tuple[str, bytes]) -> None:
    client.fault("download", "expired", prompt="dog")
    assert client.download(video[0]).status_code == 200
    client.fault("download", "expired", prompt="cat")
    assert client.download(video[0]).status_code == 403
