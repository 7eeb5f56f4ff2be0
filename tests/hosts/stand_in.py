"""What the stand-ins of all hosts have in common.

A stand-in is an independent check: it is written from a host's documentation and shares no code with the pack's
dialects. It is strict. What the real host would refuse or ignore is a mistake: a name or type that it does not have, a
missing header, a key in the wrong place. Mistakes are collected in `mistakes`, and a test that leaves one fails.

Each origin of a host (API, uploads, links to videos) listens on a port of its own, so that a key sent to the wrong one
shows. Tasks go from queued over running to their end, one step with each look at them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import inspect
import json
import mimetypes
import secrets
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import urlsplit

from aiohttp import web

from nodes.core.event_loop import BackgroundLoop
from tests.media_files import clip_bytes
from tests.service.faults import Fault, Faults
from tests.service.video_sender import PAGE, VideoSender, closed, until_set
from tests.storage.servers import BODY_LIMIT, Seen, read_form

MEDIA = ("image_url", "last_frame_url", "first_clip_url", "driving_audio_url")
TYPES: dict[str, type] = {
    "prompt": str,
    "negative_prompt": str,
    **dict.fromkeys(MEDIA, str),
    "resolution": str,
    "duration": int,
    "seed": int,
    "prompt_extend": bool,
    "watermark": bool,
}
"""The inputs of the model, by the first vendor's names."""
FRAMES: dict[str, Any] = {
    "prompt": "a walk",
    "negative_prompt": "rain",
    "image_url": "https://x.test/first.png",
    "last_frame_url": "https://x.test/last.png",
    "driving_audio_url": "https://x.test/voice.mp3",
    "resolution": "720P",
    "duration": 5,
    "seed": 7,
    "prompt_extend": True,
    "watermark": True,
}
CONTINUATION: dict[str, Any] = {
    "prompt": "and on",
    "first_clip_url": "https://x.test/clip.mp4",
    "last_frame_url": "https://x.test/last.png",
    "resolution": "1080P",
    "duration": 15,
    "seed": 0,
    "prompt_extend": False,
    "watermark": False,
}
"""Two requests with every input between them. Each stand-in has the body that its host documents for either."""
ENDED = ("done", "failed", "canceled")


class Mistake(Exception):  # noqa: N818 - of the client, not of the stand-in
    """The client did what it must not do. It is recorded, and answered with `status`."""

    def __init__(self, text: str, status: int = 422) -> None:
        super().__init__(text)
        self.status = status


class UnfetchableError(Exception):
    """The host cannot fetch the URL of a media file."""


@dataclass
class Arrival(Seen):
    """One request that arrived: at which origin, and what for."""

    origin: str = ""
    place: str = ""
    query: dict[str, str] = field(default_factory=dict)
    match: dict[str, str] = field(default_factory=dict)
    request: web.Request = field(default=None, repr=False)  # type: ignore[assignment]

    @property
    def json(self) -> Any:
        """The body, which has to be a JSON object."""
        if self.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise Mistake(f"{self.place} has no Content-Type application/json", 415)
        body = json.loads(self.body)
        if not isinstance(body, dict):
            raise Mistake(f"the body of {self.place} is not an object")
        return body


Handler = Callable[[Arrival], "web.StreamResponse | Awaitable[web.StreamResponse]"]


@dataclass(frozen=True)
class Route:
    """A route of one origin. `place` names its purpose, and faults are set by it."""

    origin: str
    place: str
    method: str
    path: str
    handle: Handler


@dataclass
class Task:
    """A task. `inputs` has the first vendor's names; `media` the bytes of each, None if the URL is not of this host."""

    id: str
    made_at: float
    inputs: dict[str, Any]
    body: dict[str, Any]
    media: dict[str, bytes | None]
    reason: str = ""
    looks: int = 0
    state: str = "queued"
    ended_at: float | None = None


@dataclass
class StoredFile:
    """An upload."""

    data: bytes = field(repr=False)
    mime: str
    expires_at: float


class StandIn:
    """One host. A subclass has the routes, names and answers of its documentation."""

    name: ClassVar[str]
    key_variable: ClassVar[str]
    scheme: ClassVar[str] = "Bearer"
    origins: ClassVar[Mapping[str, bool]] = {"api": True, "videos": False}
    """Every origin, and whether the key belongs there."""
    settings: ClassVar[Mapping[str, str]] = {"base_url": "api"}
    """The settings that name an origin."""
    names: ClassVar[Mapping[str, str]]
    """The host's name of each input, and the first vendor's."""
    frames: ClassVar[Mapping[str, Any]]
    continuation: ClassVar[Mapping[str, Any]]
    """The bodies of the requests FRAMES and CONTINUATION."""
    resolutions: ClassVar[Sequence[str]] = ("720P", "1080P")
    data_uris: ClassVar[bool] = True
    """Whether images may be inside the request."""
    link_seconds: ClassVar[int] = 3600
    upload_seconds: ClassVar[int] = 0
    """How long an upload lives; 0: the host takes none."""
    lists: ClassVar[bool] = False
    """Whether past tasks can be listed."""
    cancels: ClassVar[Sequence[str]] = ()
    """The states in which a task can be canceled."""

    def __init__(self) -> None:
        self.key = f"sk-{self.name}-{secrets.token_hex(12)}"
        self.urls: dict[str, str] = {}
        self._loop: BackgroundLoop | None = None
        self._resources = contextlib.AsyncExitStack()
        self._faults = Faults()
        self._videos = VideoSender()
        self.serve, self.half_sent = self._videos.serve, self._videos.half_sent
        """Videos are sent in full while `serve` is set; until then the first half."""
        self.answer = threading.Event()
        """Submits are answered while it is set."""
        self.arrived = threading.Event()
        """Set when a submit has arrived and its task was made."""
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.mistakes: list[str] = []
        self.seen: list[Arrival] = []
        self.tasks: dict[str, Task] = {}
        self.files: dict[str, StoredFile] = {}
        self.secrets: set[str] = {self.key}
        """What no log, error or history may contain: the key, signatures of links, policies of uploads."""
        self.ahead = 0.0
        """Seconds by which the host's clock is ahead, to make things expire."""
        self.hold = ""
        """The state that no task leaves: "queued", "running", or "" for none."""
        self.faults()
        self.serve.set()
        self.answer.set()
        self.arrived.clear()

    # --- what tests set and read

    @property
    def url(self) -> str:
        """The base URL."""
        return self.urls["api"]

    def environment(self) -> dict[str, str]:
        """Return the variables that make the pack use this stand-in: its key, and its origins for the host's."""
        prefix = f"WAN27_{self.name.upper()}"
        origins = {f"{prefix}_{setting.upper()}": self.urls[name] for setting, name in self.settings.items()}
        return {self.key_variable: self.key, **origins}

    def faults(self, *faults: dict[str, Any]) -> None:
        """Set these faults and remove all others; tests/service/faults.py lists them."""
        self._faults.set(faults)

    def at(self, place: str) -> list[Arrival]:
        """Return the requests that arrived at a place, oldest first."""
        return [seen for seen in list(self.seen) if seen.place == place]

    @property
    def count(self) -> Counter[str]:
        """Requests that arrived, by place."""
        return Counter(seen.place for seen in list(self.seen))

    def accepted(self) -> list[str]:
        """Return the ids of the tasks that were made, oldest first."""
        return list(self.tasks)

    def task(self) -> Task:
        """Return the only task."""
        (only,) = self.tasks.values()
        return only

    def video(self, task_id: str) -> bytes:
        """Return the video of a task: a real one, with the id in it."""
        mark = task_id.encode()
        return _clip() + (len(mark) + 8).to_bytes(4, "big") + b"free" + mark

    # --- the server

    def start(self) -> StandIn:
        """Start listening; a stand-in that was started before keeps its addresses."""
        self._loop = BackgroundLoop(f"stand-in-{self.name}")
        self._loop.call(self._open()).result(30)
        return self

    def stop(self) -> None:
        """Stop listening; connections are refused from now on."""
        self.serve.set()
        self.answer.set()
        if self._loop is not None:
            self._loop.call(self._resources.aclose()).result(30)
            self._loop.stop(5)
            self._loop = None

    def __enter__(self) -> StandIn:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _open(self) -> None:
        self._resources = contextlib.AsyncExitStack()
        for origin in self.origins:
            app = web.Application(client_max_size=BODY_LIMIT)
            for route in [each for each in self.routes() if each.origin == origin]:
                app.router.add_route(route.method, route.path, self._handler(route))
            nothing = Route(origin, "nothing", "*", "/{path:.*}", self._no_route)
            app.router.add_route("*", nothing.path, self._handler(nothing))
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
            self._resources.push_async_callback(runner.cleanup)
            await runner.setup()
            port = urlsplit(self.urls.get(origin, "")).port or 0
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self.urls[origin] = f"http://127.0.0.1:{runner.addresses[0][1]}"

    def _handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            headers = {name.lower(): value for name, value in request.headers.items()}
            arrival = Arrival(request.method, request.path_qs, headers)
            arrival.origin, arrival.place, arrival.request = route.origin, route.place, request
            arrival.query, arrival.match = dict(request.query), dict(request.match_info)
            if request.content_type == "multipart/form-data":
                await read_form(request, arrival)
            else:
                arrival.body = await request.read()
            self.seen.append(arrival)
            try:
                self._check_key(arrival)
                return await self._respond(route, arrival)
            except Mistake as mistake:
                self.mistakes.append(f"{arrival.method} {arrival.origin}{request.path}: {mistake}")
                return self.error(mistake.status, str(mistake))
            except Exception:
                self.mistakes.append(f"the stand-in failed at {request.path}: {traceback.format_exc()}")
                raise

        return handle

    def _no_route(self, arrival: Arrival) -> web.Response:
        raise Mistake("this is not a route", 404)

    def _check_key(self, arrival: Arrival) -> None:
        """Check that the key is in the Authorization header of its own origins, and nowhere else."""
        sent = arrival.headers.get("authorization")
        others = {name: value for name, value in arrival.headers.items() if name != "authorization"}
        if self.key in f"{arrival.path} {others} {arrival.form}" or self.key.encode() in arrival.body:
            raise Mistake("the key is outside of the Authorization header", 400)
        if not self.origins[arrival.origin]:
            if sent is not None or "cookie" in arrival.headers:
                raise Mistake("no key and no cookie belongs to this origin", 400)
        elif sent is None or not sent.startswith(f"{self.scheme} "):
            raise Mistake(f"the Authorization header has to be: {self.scheme} KEY", 401)

    async def _respond(self, route: Route, arrival: Arrival) -> web.StreamResponse:
        """Answer a request, with the fault that hits it."""
        if self.origins[route.origin] and arrival.headers["authorization"] != f"{self.scheme} {self.key}":
            return self.error(401)
        if route.place not in ("submit", "result", "upload"):
            return await _settled(route.handle(arrival))
        fault = self._faults.pick(route.place, self._prompt_of(arrival) if route.place != "upload" else "")
        kind, values = (fault.kind, fault.values) if fault else ("", {})
        answer: web.StreamResponse | None = None
        if fault is not None:
            answer = self._refusal(fault)
        if answer is None or values.get("made"):
            made = closed(arrival.request) if kind == "refuse" else await _settled(route.handle(arrival))
            answer = made if answer is None else answer
        if route.place == "submit":
            self.arrived.set()
            await until_set(self.answer)
        if kind == "slow":
            await asyncio.sleep(values["seconds"])
        if kind in ("lost_answer", "cut"):
            return closed(arrival.request)
        if kind == "page":
            return web.Response(text=PAGE, content_type="text/html")
        if kind in ("broken_json", "no_id"):
            text = _text(answer)
            return web.Response(
                text="{}" if kind == "no_id" else text[: len(text) // 2], content_type="application/json"
            )
        return answer

    def _refusal(self, fault: Fault) -> web.Response | None:
        """Return the answer of the faults that are an error, as the host words it."""
        if fault.kind == "unavailable":
            return web.Response(status=503, text="<html><body>503 Service Unavailable</body></html>")
        status = {"rate_limit": 429, "server_error": 500, "unauthorized": 401, "not_found": 404}.get(fault.kind)
        if status is None and fault.kind != "error":
            return None
        answer = self.error(status or fault.values["status"])
        if fault.values.get("retry_after") is not None:
            answer.headers["Retry-After"] = str(fault.values["retry_after"])
        return answer

    def _prompt_of(self, arrival: Arrival) -> str:
        if arrival.place == "submit":
            return arrival.body.decode()
        return next((str(task.inputs.get("prompt")) for task in self.tasks.values() if task.id in arrival.path), "")

    # --- for subclasses

    def routes(self) -> list[Route]:
        """Return the routes of the host, besides `video_route`."""
        raise NotImplementedError

    def error(self, status: int, message: str = "set by a test") -> web.Response:
        """Return the host's answer for an error."""
        raise NotImplementedError

    def now(self) -> float:
        return time.time() + self.ahead

    def make(self, flat: Mapping[str, Any], body: dict[str, Any]) -> Task:
        """Create a task from the inputs as the host names them."""
        inputs = self._read(flat)
        media: dict[str, bytes | None] = {}
        task = Task(self.new_id(), self.now(), inputs, body, media)
        try:
            for name in MEDIA:
                if name in inputs:
                    media[name] = self.fetch(name, inputs[name])
        except UnfetchableError as error:
            task.reason = str(error)
        fault = self._faults.pick("task", inputs.get("prompt", ""))
        if fault is not None and fault.kind == "fail":
            task.reason = fault.values["reason"]
        self.tasks[task.id] = task
        return task

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def look(self, task: Task) -> str:
        """Return the state of a task, which goes one step on with each look."""
        if task.state not in ENDED:
            task.looks += 1
            end = "failed" if task.reason else "done"
            state = ("queued", "running", end)[min(task.looks - 1, 2)]
            if self.hold:
                task.looks = min(task.looks, ("queued", "running").index(self.hold) + 1)
                state = ("queued", "running")[task.looks - 1]
            task.state = state
            task.ended_at = self.now() if state in ENDED else None
        return task.state

    def cancel_task(self, task: Task) -> None:
        task.state, task.ended_at = "canceled", self.now()

    def link(self, task: Task) -> str:
        """Return a signed link to the video of a task, which expires."""
        expires, signature = int((task.ended_at or 0) + self.link_seconds), uuid.uuid5(uuid.NAMESPACE_URL, task.id).hex
        self.secrets.add(signature)
        return f"{self.urls['videos']}/{task.id}.mp4?Expires={expires}&Signature={signature}"

    def video_route(self) -> Route:
        return Route("videos", "download", "GET", "/{file}", self._send_video)

    async def _send_video(self, arrival: Arrival) -> web.StreamResponse:
        task = self.tasks[arrival.match["file"].removesuffix(".mp4")]
        fault = self._faults.pick("download", task.inputs.get("prompt", ""))
        if arrival.query.get("Signature") not in self.secrets or self.now() > int(arrival.query["Expires"]):
            return web.Response(status=403, text="AccessDenied: Request has expired")
        return await self._videos.send(arrival.request, self.video(task.id), fault)

    def store(self, url: str, data: bytes, mime: str, *, name: str, seconds: float | None = None) -> StoredFile:
        """Keep an upload."""
        if not data:
            raise Mistake("the file is empty")
        if mimetypes.guess_type(name)[0] not in (mime, {"audio/wav": "audio/x-wav"}.get(mime)):
            raise Mistake(f"the file {name!r} is not of type {mime!r}")
        self.files[url] = StoredFile(data, mime, self.now() + (seconds or self.upload_seconds))
        return self.files[url]

    def fetch(self, name: str, url: str) -> bytes | None:
        """Return the bytes that a media URL leads to, None if it is a public one that is not of this host."""
        if url in self.files:
            stored = self.files[url]
            if stored.expires_at < self.now():
                raise UnfetchableError("Unable to download the media resource")
            if stored.mime.partition("/")[0] != _kind(name):
                raise Mistake(f"{name} is {stored.mime}")
            return stored.data
        if url.startswith("data:"):
            if not self.data_uris or _kind(name) != "image" or not url.startswith("data:image/"):
                raise Mistake(f"{name} must not be a data URI here")
            try:
                return base64.b64decode(url.partition(";base64,")[2], validate=True)
            except binascii.Error:
                raise Mistake(f"{name} is not valid base64") from None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Mistake(f"{name} is not a URL: {url[:80]}")
        if parts.hostname in ("127.0.0.1", "localhost"):
            raise UnfetchableError("Unable to download the media resource")
        return None

    def _read(self, flat: Mapping[str, Any]) -> dict[str, Any]:
        """Translate the inputs to the first vendor's names, and check every rule of the model."""
        if unknown := set(flat) - set(self.names):
            raise Mistake(f"{', '.join(sorted(unknown))} is not an input")
        inputs = {self.names[name]: value for name, value in flat.items()}
        for name, value in inputs.items():
            if type(value) is not TYPES[name] or value == "":
                raise Mistake(f"{name} is {json.dumps(value)[:60]}; it has to be {TYPES[name].__name__}, or left out")
        for name, wrong in (
            ("resolution", inputs.get("resolution", self.resolutions[0]) not in self.resolutions),
            ("duration", not 2 <= inputs.get("duration", 5) <= 15),
            ("seed", not 0 <= inputs.get("seed", 0) <= 2_147_483_647),
            ("prompt", len(inputs.get("prompt", "")) > 5000),
            ("negative_prompt", len(inputs.get("negative_prompt", "")) > 500),
        ):
            if wrong:
                raise Mistake(f"{name} is {inputs[name]!r:.60}")
        media = [name for name in MEDIA if name in inputs]
        if ("image_url" in media) == ("first_clip_url" in media) or {"first_clip_url", "driving_audio_url"} <= {*media}:
            raise Mistake(f"the model does not take {', '.join(media) or 'no media'} together")
        return inputs


def form_of(arrival: Arrival, fields: set[str], file_field: str) -> tuple[str, str, bytes]:
    """Return name, type and bytes of the only file of a form that must have these fields, and the file as the last."""
    if set(arrival.form) != fields or set(arrival.files) != {file_field} or arrival.parts[-1] != file_field:
        raise Mistake(f"the form has {arrival.parts}, not {sorted(fields)} and at the end {file_field}")
    return arrival.files[file_field]


def iso(seconds: float | None) -> str | None:
    """Return a time as most hosts write it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).isoformat()[:26] + "Z"


@cache
def _clip() -> bytes:
    return clip_bytes(1.0, width=160, height=128, fps=8, with_audio=True)


def _kind(name: str) -> str:
    return {"first_clip_url": "video", "driving_audio_url": "audio"}.get(name, "image")


def _text(answer: web.StreamResponse) -> str:
    assert isinstance(answer, web.Response)
    assert answer.text is not None
    return answer.text


async def _settled(answer: web.StreamResponse | Awaitable[web.StreamResponse]) -> web.StreamResponse:
    if inspect.isawaitable(answer):
        return await answer
    assert isinstance(answer, web.StreamResponse)
    return answer
