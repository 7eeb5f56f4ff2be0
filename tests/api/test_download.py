"""Downloads against a real server on loopback."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from aiohttp import web

from nodes.api import download as module
from nodes.api.download import LinkRefusedError, UnreachableError, download, remove_leftovers
from nodes.core import disk
from nodes.core.backoff import Backoff
from nodes.core.errors import DownloadError
from nodes.core.mp4_boxes import mp4_problem

BODY = b"\0\0\0\x10ftypisom\0\0\2\0" + b"\0\0\0\x08moov" + (8 + 300_000).to_bytes(4, "big") + b"mdat"
BODY += Random(1).randbytes(300_000)
NO_PAUSE = Backoff(0.0, 0.0, float("inf"))

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def fetch(handler: Handler, dest: Path, path: str = "/v.mp4", **options: Any) -> int:
    """Serve `handler` at every path, and download from it."""
    app = web.Application()
    app.router.add_get("/{any:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = path if "://" in path else f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
    values: dict[str, Any] = {"allow_loopback": True, "max_bytes": 10_000_000, "backoff": NO_PAUSE, **options}
    try:
        async with httpx.AsyncClient(
            headers={"Authorization": "Bearer key"}, cookies={"a": "b"}, trust_env=False
        ) as http:
            return await download(http, url, dest, **values)
    finally:
        await runner.cleanup()


def get(handler: Handler, dest: Path, path: str = "/v.mp4", **options: Any) -> int:
    return asyncio.run(fetch(handler, dest, path, **options))


@pytest.fixture
def dest(tmp_path: Path) -> Iterator[Path]:
    """The path of the video. After each test no temporary file may be left."""
    yield tmp_path / "wan27" / "v.mp4"
    assert not list(tmp_path.rglob("*.incomplete"))


def part(request: web.Request, *, total: str | None = None, etag: str = '"1"') -> tuple[web.StreamResponse, bytes]:
    """Return the response of a correct server to a request with or without Range."""
    start = request.http_range.start or 0
    body = BODY[start:]
    response = web.StreamResponse(status=206 if start else 200, headers={"ETag": etag} if etag else {})
    response.content_length = len(body)
    if start:
        response.headers["Content-Range"] = f"bytes {start}-{len(BODY) - 1}/{total or len(BODY)}"
    return response, body


async def whole(request: web.Request) -> web.StreamResponse:
    response, body = part(request)
    await response.prepare(request)
    await response.write(body)
    return response


def cutting(cuts: list[int], seen: list[dict[str, str]], **options: Any) -> Handler:
    """Return a server that closes the connection after each of these numbers of bytes in turn."""

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(dict(request.headers))
        response, body = part(request, **options)
        await response.prepare(request)
        if cuts:
            await response.write(body[: cuts.pop(0)])
            assert request.transport is not None
            request.transport.close()
        else:
            await response.write(body)
        return response

    return handler


def test_download_is_whole_and_replaces_an_older_file(dest: Path) -> None:
    dest.parent.mkdir()
    dest.write_bytes(b"older")
    seen: list[tuple[int, int | None]] = []
    assert get(whole, dest, on_progress=lambda done, total: seen.append((done, total))) == len(BODY)
    assert dest.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))


def test_download_sends_no_secret(dest: Path) -> None:
    seen: list[dict[str, str]] = []
    get(cutting([5, 0], seen), dest)
    assert len(seen) == 3
    assert not [headers for headers in seen if {"Authorization", "Cookie"} & set(headers)]


def test_download_resumes_after_ten_cuts_at_random_offsets(dest: Path) -> None:
    seen: list[dict[str, str]] = []
    random = Random(3)
    get(cutting([random.randrange(1, 25_000) for _ in range(10)], seen), dest)
    assert dest.read_bytes() == BODY
    assert [("Range" in headers, headers.get("If-Range")) for headers in seen] == [(False, None)] + [(True, '"1"')] * 10


def test_download_from_a_server_without_range_starts_over(dest: Path) -> None:
    cuts = [1000, 90_000]

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = len(BODY)
        await response.prepare(request)
        await response.write(BODY[: cuts.pop(0)] if cuts else BODY)
        return response

    get(handler, dest)
    assert dest.read_bytes() == BODY


@pytest.mark.parametrize("wrong", ["bytes 5-9/300032", "bytes */300032", "", "bytes 1000-300031/999"])
def test_download_of_another_part_than_requested_starts_over(dest: Path, wrong: str) -> None:
    seen: list[dict[str, str]] = []
    inner = cutting([1000], seen)

    async def handler(request: web.Request) -> web.StreamResponse:
        if len(seen) == 1:
            seen.append({})
            return web.Response(status=206, body=b"12345", headers={"Content-Range": wrong})
        return await inner(request)

    get(handler, dest)
    assert dest.read_bytes() == BODY


def test_download_ignores_a_weak_etag(dest: Path) -> None:
    seen: list[dict[str, str]] = []
    get(cutting([1000], seen, etag='W/"1"'), dest)
    assert "If-Range" not in seen[1]
    assert dest.read_bytes() == BODY


def test_download_416_with_a_complete_and_an_incomplete_file(dest: Path) -> None:
    for total, expected in ((len(BODY), 2), (999, 3)):
        calls: list[int] = []

        async def handler(request: web.Request, total: int = total, calls: list[int] = calls) -> web.StreamResponse:
            calls.append(1)
            if len(calls) == 2:
                return web.Response(status=416, headers={"Content-Range": f"bytes */{total}"})
            response = web.StreamResponse()
            if len(calls) == 1:
                response.enable_chunked_encoding()
            await response.prepare(request)
            await response.write(BODY)
            if len(calls) == 1:
                assert request.transport is not None
                request.transport.close()
            return response

        get(handler, dest)
        assert dest.read_bytes() == BODY
        assert len(calls) == expected


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_download_of_a_refused_link(dest: Path, status: int) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    with pytest.raises(LinkRefusedError, match=str(status)):
        get(handler, dest)


def test_download_waits_as_long_as_a_busy_server_asks_and_not_shorter_than_planned(
    dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "jitter", lambda: 0.5)
    answers = [(503, "7"), (429, "86400"), (503, "0"), (500, "")]
    pauses: dict[int, float] = {}

    async def handler(request: web.Request) -> web.StreamResponse:
        if answers:
            status, wait = answers.pop(0)
            return web.Response(status=status, headers={"Retry-After": wait} if wait else {})
        return await whole(request)

    class Recording(Backoff):
        def pause(self, attempt: int, roll: float, retry_after: float | None = None) -> float:
            pauses[attempt] = max(pauses.get(attempt, 0.0), super().pause(attempt, roll, retry_after))
            return 0.0

    get(handler, dest, backoff=Recording(2.0, 8.0))
    assert list(pauses.values()) == [7.5, 300.5, 4.0, 4.0], "up to a second later"


def test_download_gives_up_on_a_server_that_sends_nothing(dest: Path) -> None:
    calls: list[int] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        calls.append(1)
        return web.Response(status=500)

    with pytest.raises(UnreachableError, match=r"answered 500.*queue again"):
        get(handler, dest)
    assert len(calls) == module.ATTEMPTS


def test_download_is_checked_once_no_other_program_has_the_file_open(
    dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=BODY)

    refusals = [PermissionError(13, "Permission denied")] * 3

    def problem(path: Path) -> str | None:
        if refusals:
            raise refusals.pop()
        return mp4_problem(path)

    monkeypatch.setattr(disk, "PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(module, "mp4_problem", problem)
    assert get(handler, dest) == len(BODY)
    assert refusals == [] and dest.read_bytes() == BODY


@pytest.mark.parametrize(
    ("body", "problem"), [(b"<html>not found</html>", "begin like an mp4"), (BODY[:-9], "cut off"), (b"", "empty")]
)
def test_download_that_is_not_a_whole_mp4_gets_no_name(dest: Path, body: bytes, problem: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    with pytest.raises(DownloadError, match=problem):
        get(handler, dest)
    assert not dest.exists()


@pytest.mark.parametrize("announced", [True, False])
def test_download_larger_than_any_video_is_refused(dest: Path, announced: bool) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if announced:
            response.content_length = len(BODY)
        else:
            response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(BODY)
        return response

    with pytest.raises(DownloadError, match="larger than"):
        get(handler, dest, max_bytes=200_000)
    assert not dest.exists()


def test_download_leaves_spare_disk_space(dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = module.SPARE_BYTES + len(BODY) - 1

    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(DownloadError, match=r"disk space.*paid for"):
        get(whole, dest)


def test_download_refuses_a_compressed_response(dest: Path) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=BODY, headers={"Content-Encoding": "br"})

    with pytest.raises(DownloadError, match="encoding"):
        get(handler, dest)


def redirecting(to: Callable[[web.Request], str]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/v.mp4":
            return web.Response(status=302, headers={"Location": to(request)})
        return await whole(request)

    return handler


def test_redirects_are_followed(dest: Path) -> None:
    get(redirecting(lambda request: "elsewhere/w.mp4"), dest)
    assert dest.read_bytes() == BODY


@pytest.mark.parametrize(
    ("to", "problem"),
    [
        ("http://169.254.169.254/latest/meta-data", "private"),
        ("https://10.0.0.1/v.mp4", "private"),
        ("file:///etc/passwd", "only https"),
        ("http://93.184.216.34/v.mp4", "private|only https"),
        ("http://user:password@127.0.0.1/v.mp4", "login"),
        ("http://[broken", "broken"),
    ],
)
def test_redirects_are_each_checked(dest: Path, to: str, problem: str) -> None:
    with pytest.raises(DownloadError, match=problem):
        get(redirecting(lambda request: to), dest)


def test_redirects_are_limited(dest: Path) -> None:
    with pytest.raises(DownloadError, match="more than 5 redirects"):
        get(redirecting(lambda request: "/v.mp4"), dest)


def test_loopback_is_refused_unless_the_service_is_there(dest: Path) -> None:
    with pytest.raises(DownloadError, match="private network"):
        get(whole, dest, allow_loopback=False)


@pytest.mark.parametrize(
    ("link", "asked"),
    [
        ("http://cdn.test/a", ["https://cdn.test/a", "https://cdn.test/v.mp4"]),
        ("http://cdn.test:80/v.mp4", ["https://cdn.test/v.mp4"]),
        ("http://cdn.test:8080/v.mp4", ["https://cdn.test:8080/v.mp4"]),
    ],
)
def test_http_link_is_fetched_by_https(
    dest: Path, link: str, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    seen: list[str] = []

    def server(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "93.184.216.34"
        seen.append(str(request.url.copy_with(host=request.extensions["sni_hostname"])))
        if request.url.path == "/a":
            return httpx.Response(302, headers={"Location": "http://cdn.test:80/v.mp4"})
        return httpx.Response(200, stream=httpx.ByteStream(BODY))

    async def resolve(host: str) -> list[str]:
        return ["93.184.216.34"]

    async def fetch() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as http:
            await download(http, link, dest, allow_loopback=False, max_bytes=10_000_000, resolve=resolve)

    asyncio.run(fetch())
    assert dest.read_bytes() == BODY
    assert seen == asked


def test_download_connects_to_the_checked_address(dest: Path) -> None:
    """The name is not resolved a second time, and the Host header still contains it."""
    hosts: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        hosts.append(request.headers["Host"])
        return await whole(request)

    async def resolve(host: str) -> list[str]:
        assert host == "no-such-host.test"
        return ["127.0.0.1"]

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/{any:.*}", handler)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        async with httpx.AsyncClient(trust_env=False) as http:
            url = f"http://no-such-host.test:{port}/v.mp4"
            await download(http, url, dest, allow_loopback=True, max_bytes=10**7, resolve=resolve)
        await runner.cleanup()
        assert hosts == [f"no-such-host.test:{port}"]

    asyncio.run(run())


def test_download_cancelled_leaves_no_file(dest: Path) -> None:
    async def run() -> None:
        stuck = asyncio.Event()

        async def handler(request: web.Request) -> web.StreamResponse:
            response, body = part(request)
            await response.prepare(request)
            await response.write(body[:1000])
            stuck.set()
            await asyncio.Event().wait()
            return response

        task = asyncio.ensure_future(fetch(handler, dest))
        await stuck.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert not list(dest.parent.iterdir())


def test_remove_leftovers_of_processes_that_ended(tmp_path: Path) -> None:
    for name in ("a.mp4.dead.incomplete", "a.mp4.alive.incomplete", "b.mp4.dead.incomplete", "a.mp4"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path, lambda owner: owner == "alive")
    assert len(list(tmp_path.iterdir())) == 4  # too young
    remove_leftovers(tmp_path, lambda owner: owner == "alive", of="a.mp4", older_than_seconds=0)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["a.mp4", "a.mp4.alive.incomplete", "b.mp4.dead.incomplete"]
    remove_leftovers(tmp_path / "missing", lambda owner: False)


def test_errors_do_not_contain_the_link(dest: Path) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=403)

    with pytest.raises(LinkRefusedError) as caught:
        get(handler, dest, "/v.mp4?signature=secret")
    assert not re.search("secret|signature", repr(caught.value))
