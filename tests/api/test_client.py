"""The client against a real server on loopback, and against httpx's mock transport."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from nodes.api.client import ServiceClient
from nodes.api.connection import Connection
from nodes.api.request import VideoRequest
from nodes.api.task import TaskHandle
from nodes.core import errors

TASK = TaskHandle("t")
REQUEST = VideoRequest(image_url="https://h.example/a.png", seed=7)
Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


class _Server:
    """Answers each request as the test sets it, and records the requests."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer: Answer = reply(200, {"task_id": "t-1"})
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.seen.append((self.command, self.path, dict(self.headers), body))
                outer.answer(self, body)

            do_GET = do_POST = do_PUT = _any  # noqa: N815 - the names of the standard library

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def reply(status: int, payload: Any, **headers: str) -> Answer:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()

    def answer(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hang_up(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    handler.close_connection = True
    handler.connection.close()


@pytest.fixture
def server() -> Iterator[_Server]:
    running = _Server()
    yield running
    running.close()


def call(
    base_url: str, method: str, *args: Any, key: str = "k-123", transport: Any = None, host: str = "novita"
) -> Any:
    async def run() -> Any:
        async with httpx.AsyncClient(transport=transport, trust_env=False) as http:
            client = ServiceClient(Connection(host, base_url, key, list_url=base_url), http)
            return await getattr(client, method)(*args)

    return asyncio.run(run())


def test_submit_sends_the_documented_call_once(server: _Server) -> None:
    assert call(server.url, "submit", REQUEST) == TaskHandle("t-1")
    [(method, path, headers, body)] = server.seen
    assert (method, path) == ("POST", "/v3/async/wan2.7-i2v")
    assert headers["Authorization"] == "Bearer k-123"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body)["seed"] == 7


def test_result_and_balance_ask_the_documented_routes(server: _Server) -> None:
    server.answer = reply(200, {"task": {"status": "TASK_STATUS_QUEUED"}, "availableBalance": "10000"})
    assert call(server.url, "result", TaskHandle("abc")).task_id == "abc"
    assert call(server.url, "balance").available_usd == 1.0
    assert [path for _, path, _, _ in server.seen] == [
        "/v3/async/task-result?task_id=abc",
        "/openapi/v1/billing/balance/detail",
    ]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (hang_up, errors.OutcomeUnknownError),
        (reply(500, {"reason": "CREATE_TASK_FAILED", "message": "m"}), errors.OutcomeUnknownError),
        (reply(504, b"gateway"), errors.OutcomeUnknownError),
        (reply(200, b"no json"), errors.OutcomeUnknownError),
        (reply(200, {"id": "elsewhere"}), errors.OutcomeUnknownError),
        (reply(307, b"", Location="https://elsewhere.example/"), errors.OutcomeUnknownError),
        (reply(400, {"reason": "ILLEGAL_PROMPT"}), errors.ContentError),
        (reply(403, {"reason": "INVALID_API_KEY"}), errors.AuthenticationError),
        (reply(404, b""), errors.ModelNotFoundError),
        (reply(429, {"reason": "RATE_LIMIT_EXCEEDED"}, Retry_After="7"), errors.RateLimitError),
    ],
)
def test_submit_sends_once_and_raises_what_became_of_it(
    server: _Server, answer: Answer, error: type[Exception]
) -> None:
    server.answer = answer
    with pytest.raises(error) as caught:
        call(server.url, "submit", REQUEST)
    assert len(server.seen) == 1
    assert "k-123" not in str(caught.value)
    if isinstance(caught.value, errors.RateLimitError):
        assert caught.value.retry_after == 7.0


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (httpx.ConnectError, errors.NotDeliveredError),
        (httpx.ConnectTimeout, errors.NotDeliveredError),
        (httpx.PoolTimeout, errors.NotDeliveredError),
        (httpx.ProxyError, errors.NotDeliveredError),
        (httpx.ReadTimeout, errors.OutcomeUnknownError),
        (httpx.WriteTimeout, errors.OutcomeUnknownError),
        (httpx.ReadError, errors.OutcomeUnknownError),
        (httpx.WriteError, errors.OutcomeUnknownError),
        (httpx.RemoteProtocolError, errors.OutcomeUnknownError),
        (httpx.DecodingError, errors.OutcomeUnknownError),
    ],
)
def test_submit_is_not_delivered_only_if_nothing_was_sent(
    raised: type[httpx.TransportError], error: type[Exception]
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise raised("made to fail", request=request)

    with pytest.raises(error) as caught:
        call("https://api.novita.ai", "submit", REQUEST, transport=httpx.MockTransport(fail))
    assert raised.__name__ in str(caught.value)


def test_submit_to_a_closed_port_is_not_delivered() -> None:
    closed = _Server()
    closed.close()
    with pytest.raises(errors.NotDeliveredError, match="cannot be reached"):
        call(closed.url, "submit", REQUEST)


@pytest.mark.parametrize("method", ["submit", "result", "balance"])
def test_client_without_a_key_sends_nothing(server: _Server, method: str) -> None:
    args = {"submit": [REQUEST], "result": [TASK], "balance": []}[method]
    with pytest.raises(errors.AuthenticationError, match="NOVITA_API_KEY"):
        call(server.url, method, *args, key="")
    assert server.seen == []


@pytest.mark.parametrize("answer", [reply(200, b"<html>"), reply(502, b"bad gateway")])
def test_result_that_is_unreadable_is_a_server_error(server: _Server, answer: Answer) -> None:
    server.answer = answer
    with pytest.raises(errors.ServerError):
        call(server.url, "result", TASK)


KEY = "sk-very/secret+0123456789"
TOLD_BACK = [KEY, quote(KEY, safe=""), quote(KEY, safe="").lower(), b64encode(KEY.encode()).decode()]


@pytest.mark.parametrize("told", TOLD_BACK)
@pytest.mark.parametrize("method", ["submit", "result", "balance"])
@pytest.mark.parametrize(
    ("status", "shape"),
    [
        (
            401,
            {"reason": "INVALID_API_KEY", "message": "invalid token Bearer {key} at https://h.example/a?sig=signed."},
        ),
        (403, {"reason": "{key}"}),
        (500, {"error": {"message": "x" * 490 + "{key}"}}),
        (200, {"headers": {"Authorization": "Bearer {key}", "url": "https://h.example/a?sig=signed"}}),
    ],
)
def test_errors_do_not_repeat_a_key_that_the_service_repeats(
    server: _Server, told: str, method: str, status: int, shape: dict[str, Any]
) -> None:
    server.answer = reply(status, json.dumps(shape).replace("{key}", told).encode())
    args = {"submit": [REQUEST], "result": [TASK], "balance": []}[method]
    with pytest.raises(errors.Wan27Error) as caught:
        call(server.url, method, *args, key=KEY)
    told_on = f"{caught.value} {vars(caught.value)} {caught.value.__cause__}"
    assert told[:12] not in told_on
    assert "signed" not in told_on


def test_result_reason_has_neither_key_nor_query(server: _Server) -> None:
    link = "https://cdn.example/v.mp4?signature=1"
    said = f"no download of https://h.example/a.png?sig=signed with {KEY}"
    task = {"status": "TASK_STATUS_FAILED", "reason": said}
    server.answer = reply(200, {"task": task, "videos": [{"video_url": link}]})
    result = call(server.url, "result", TASK, key=KEY)
    assert result.reason == "no download of https://h.example/a.png with •••"
    assert result.video.url == link


@pytest.mark.parametrize("key", ["12345", "result", "video"])
def test_short_key_is_not_taken_out_of_task_ids_and_links(server: _Server, key: str) -> None:
    server.answer = reply(200, {"task_id": f"a-{key}-b"})
    assert call(server.url, "submit", REQUEST, key=key).task_id == f"a-{key}-b"
    link = f"https://cdn.example/{key}/v.mp4"
    server.answer = reply(200, {"task": {"status": "TASK_STATUS_SUCCEED"}, "videos": [{"video_url": link}]})
    assert call(server.url, "result", TASK, key=key).video.url == link


def test_result_survives_half_a_character_and_endless_nesting(server: _Server) -> None:
    server.answer = reply(200, b'{"task": {"status": "TASK_STATUS_FAILED", "reason": "odd \\ud800"}}')
    assert call(server.url, "result", TASK).reason == "odd ?"
    server.answer = reply(200, b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(errors.ServerError):
        call(server.url, "result", TASK)


def test_submit_keeps_only_urls_on_the_host_that_was_submitted_to(server: _Server) -> None:
    own = f"{server.url}/fal-ai/wan/requests/r-1"
    answer = {"request_id": "r-1", "status_url": f"{own}/status", "response_url": "https://evil.example/x"}
    server.answer = reply(200, answer)
    assert call(server.url, "submit", REQUEST, host="fal") == TaskHandle("r-1", {"status_url": f"{own}/status"})


def test_result_asks_twice_where_one_answer_is_not_enough(server: _Server) -> None:
    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        video = {"video": {"url": "https://v3.fal.media/v.mp4"}, "seed": 3}
        reply(200, {"status": "COMPLETED"} if handler.path.endswith("/status") else video)(handler, body)

    server.answer = answer
    kept = {"response_url": "https://evil.example/x"}
    result = call(server.url, "result", TaskHandle("r-1", kept), host="fal")
    assert (result.state.value, result.seed) == ("succeeded", 3)
    assert [path for _, path, _, _ in server.seen] == ["/fal-ai/wan/requests/r-1/status", "/fal-ai/wan/requests/r-1"]
    assert all(headers["Authorization"] == "Key k-123" for _, _, headers, _ in server.seen)


def test_cancel_sends_one_call_and_raises_what_the_host_says(server: _Server) -> None:
    server.answer = reply(202, {"status": "CANCELLATION_REQUESTED"})
    assert call(server.url, "cancel", TASK, host="fal") is None
    assert [(method, path) for method, path, _, _ in server.seen] == [("PUT", "/fal-ai/wan/requests/t/cancel")]
    server.answer = reply(400, {"status": "ALREADY_COMPLETED"})
    with pytest.raises(errors.ServiceError):
        call(server.url, "cancel", TASK, host="fal")
    with pytest.raises(errors.ServiceError, match="Kie cannot cancel"):
        call(server.url, "cancel", TASK, host="kie")


def test_balance_is_none_if_the_host_reports_none(server: _Server) -> None:
    assert call(server.url, "balance", host="replicate") is None
    assert server.seen == []


def test_check_key_of_a_host_without_a_balance(server: _Server) -> None:
    server.answer = reply(200, {"type": "user", "username": "u"})
    assert call(server.url, "check_key", host="replicate") is None
    assert [path for _, path, _, _ in server.seen] == ["/v1/account"]
    server.answer = reply(401, {"title": "Unauthenticated"})
    with pytest.raises(errors.AuthenticationError, match="REPLICATE_API_TOKEN"):
        call(server.url, "check_key", host="replicate")


def test_check_key_accepts_a_key_that_may_not_see_the_balance(server: _Server) -> None:
    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        refused = handler.path.startswith("/v1/account/billing")
        reply(403 if refused else 200, {"detail": "admins only"} if refused else {"items": []})(handler, body)

    server.answer = answer
    assert call(server.url, "check_key", host="fal") is None


def test_past_tasks_follow_the_pages(server: _Server) -> None:
    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        last = "cursor=more" in handler.path
        item = {"request_id": "second" if last else "first", "json_input": {"prompt": "p"}}
        reply(200, {"items": [item], "next_cursor": None if last else "more"})(handler, body)

    server.answer = answer
    found = call(server.url, "past_tasks", 0.0, 1.0, host="fal")
    assert [task.handle.task_id for task in found] == ["first", "second"]
    assert call(server.url, "past_tasks", 0.0, 1.0, host="kie") is None


def test_past_tasks_without_end_are_an_error_and_not_a_part_of_the_list(server: _Server) -> None:
    server.answer = reply(200, {"items": [], "next_cursor": "again"})
    with pytest.raises(errors.ServerError, match="more tasks than"):
        call(server.url, "past_tasks", 0.0, 1.0, host="fal")


def test_submit_refused_inside_a_200_was_not_accepted(server: _Server) -> None:
    server.answer = reply(200, {"code": 402, "msg": "Insufficient credits"})
    with pytest.raises(errors.BalanceError):
        call(server.url, "submit", REQUEST, host="kie")
    server.answer = reply(200, {"code": 501, "msg": "failed"})
    with pytest.raises(errors.OutcomeUnknownError, match="unknown whether a task was created"):
        call(server.url, "submit", REQUEST, host="kie")


@pytest.mark.parametrize("host", ["novita", "dashscope", "fal", "replicate", "kie"])
def test_errors_of_every_host_do_not_repeat_its_key(server: _Server, host: str) -> None:
    said = f"Bearer {KEY} at https://h.example/a?sig=signed"
    shape = {"code": 401, "msg": said, "message": said, "detail": said, "title": said, "reason": said}
    server.answer = reply(401, shape)
    for method, args in (("submit", [REQUEST]), ("result", [TASK]), ("check_key", [])):
        with pytest.raises(errors.AuthenticationError) as caught:
            call(server.url, method, *args, key=KEY, host=host)
        assert KEY not in str(caught.value) and "signed" not in str(caught.value)
