"""Servers on loopback for the storages, which record what they receive."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from nodes.core.backoff import Backoff

BODY_LIMIT = 256 * 1024 * 1024
NO_PAUSE = Backoff(0.001, 0.001)


@dataclass
class Seen:
    """One request: method, path with query, headers, body or the parts of a form by name."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(default=b"", repr=False)
    form: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[str, str, bytes]] = field(default_factory=dict)  # field: file name, type, bytes
    parts: list[str] = field(default_factory=list)  # the names of all fields, in order


Answer = web.Response | Callable[[Seen], web.Response]


class Host:
    """Sends the answers in turn, the last one repeatedly. GET returns what was PUT there."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers) or [web.Response(status=201)]
        self.seen: list[Seen] = []
        self.stored: dict[str, tuple[str, bytes]] = {}
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            mime, data = self.stored.get(request.path, ("", b""))
            return web.Response(body=data, content_type=mime) if data else web.Response(status=404)
        seen = Seen(request.method, request.path_qs, {k.lower(): v for k, v in request.headers.items()})
        self.seen.append(seen)
        if request.content_type == "multipart/form-data":
            await read_form(request, seen)
        else:
            seen.body = await request.read()
            self.stored[request.path] = (request.content_type, seen.body)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        made = answer(seen) if callable(answer) else answer
        return web.Response(body=made.body, status=made.status, headers=made.headers)


async def read_form(request: web.Request, seen: Seen) -> None:
    """Add the parts of a form to a request."""
    async for part in await request.multipart():
        assert part.name is not None
        seen.parts.append(part.name)
        data = bytes(await part.read())
        if part.filename is None:
            seen.form[part.name] = data.decode()
        else:
            seen.files[part.name] = (part.filename, part.headers["Content-Type"], data)


@asynccontextmanager
async def running(host: Host) -> AsyncIterator[Host]:
    app = web.Application(client_max_size=BODY_LIMIT)
    app.router.add_route("*", "/{path:.*}", host.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield host
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object],
) -> AsyncIterator[str]:
    """Run a plain TCP server, for connections that break. Yields its URL."""
    server = await asyncio.start_server(talk, "127.0.0.1", 0)  # type: ignore[arg-type]
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def everything_said(error: BaseException) -> str:
    """Return all text that an error can add to a log, a report or a history entry."""
    import traceback

    said = [*traceback.format_exception(error)]
    seen: BaseException | None = error
    while seen is not None:
        said += [str(seen), repr(seen), repr(vars(seen))]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(said)


def hours_left(expires_at: float | None) -> float:
    assert expires_at is not None
    return (expires_at - time.time()) / 3600


@contextmanager
def in_a_thread(host: Host) -> Iterator[Host]:
    """Run the same for a test that is not a coroutine."""
    started, ended = threading.Event(), threading.Event()

    async def work() -> None:
        async with running(host):
            started.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)
    thread.start()
    assert started.wait(30)
    try:
        yield host
    finally:
        ended.set()
        thread.join(30)
