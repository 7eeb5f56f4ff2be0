"""Sending a file over HTTP: streamed from disk, tried again as long as it makes sense, and silent about addresses.

An upload costs nothing and its name is new every time, so it may be sent again whatever became of the first one.
"""

from __future__ import annotations

import asyncio
import logging
import random
from base64 import b64decode
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import httpx

from ..core.errors import StorageError

TIMEOUT = httpx.Timeout(connect=10.0, read=120.0, write=60.0, pool=10.0)
"""Seconds. Reading is long because some hosts answer only after they have scanned the file."""

ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
ANSWER_BYTES = 256 * 1024
USER_AGENT = "wan27-video"

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})

Body = Callable[[], AsyncGenerator[bytes, None]]


@dataclass(frozen=True)
class Upload:
    """One request that carries a file. Address, headers and body may hold secrets and never show in a repr.

    `body` makes the content anew for every attempt; `size` is its length in bytes.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: Body = field(repr=False)
    size: int

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True)
class Answer:
    """What the server said; at most `ANSWER_BYTES` of it."""

    status: int
    headers: httpx.Headers = field(repr=False)
    text: str = field(repr=False)


async def send(upload: Upload, *, setting: str, attempts: int = ATTEMPTS, pause: float = FIRST_PAUSE_SECONDS) -> Answer:
    """Send a file and return the answer, whatever its status. Redirects are not followed.

    Cancelling closes the connection and the file at once.

    Args:
        setting: which setting to name when the host cannot be reached.
        attempts: how often at most. Network trouble and the statuses 408, 425, 429 and 5xx are tried again.
        pause: seconds before the second attempt; it doubles each time, and a Retry-After header wins.

    Raises:
        StorageError: no attempt brought an answer, or the file cannot be read.
    """
    trouble = ""
    answer: Answer | None = None
    hush()
    # A new client each time: ComfyUI runs every prompt in an event loop of its own.
    async with httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False, headers={"User-Agent": USER_AGENT}) as http:
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(_pause(answer, pause * 2 ** (attempt - 1)))
            answer = None
            try:
                answer = await _once(http, upload)
            except httpx.RequestError as error:
                trouble = f"{type(error).__name__} {error}".strip()
            except (httpx.InvalidURL, ValueError) as error:
                trouble = type(error).__name__
                break
            except OSError as error:
                # Raised below, outside of this block: a chained exception would carry the request along.
                trouble = f"the file cannot be read ({error.strerror})"
                break
            if answer is not None and answer.status not in _AGAIN:
                return answer
    if answer is not None:
        return answer
    raise StorageError(f"The file did not reach {upload.host}: {trouble}. Check {setting}, and the network.")


async def _once(http: httpx.AsyncClient, upload: Upload) -> Answer:
    headers = {**upload.headers, "Content-Length": str(upload.size)}
    data = b""
    async with (
        aclosing(upload.body()) as body,
        silence(),
        http.stream(upload.method, upload.url, content=body, headers=headers) as response,
    ):
        async for part in response.aiter_bytes():
            data += part
            if len(data) >= ANSWER_BYTES:
                break
    text = data[:ANSWER_BYTES].decode("utf-8", "replace")
    return Answer(response.status_code, response.headers, text)


def _pause(answer: Answer | None, planned: float) -> float:
    asked = (answer.headers.get("Retry-After", "") if answer else "").strip()
    seconds = float(asked) if asked.isdigit() else planned * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load
    return min(seconds, LONGEST_PAUSE_SECONDS)


class Scrubber:
    """Takes secrets out of text that others wrote, such as a server that repeats our headers."""

    SHORTEST = 5

    def __init__(self, secrets: Iterable[str]) -> None:
        found: set[str] = set()
        for secret in secrets:
            for part in {secret, *secret.split()}:
                found |= {part, quote(part, safe=""), quote(part), *_decoded(part)}
        self._secrets = sorted((part for part in found if len(part) >= self.SHORTEST), key=len, reverse=True)

    def __call__(self, text: str, limit: int = 200) -> str:
        """Printable text of one line, at most `limit` characters, without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "•••")
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text if len(text) <= limit else text[: limit - 1] + "…"


def _decoded(part: str) -> list[str]:
    """User and password of a Basic header, which a server may know apart."""
    try:
        plain = b64decode(part, validate=True).decode()
    except ValueError:
        return []
    return [plain, *plain.split(":", 1)] if plain.isprintable() and ":" in plain else []


TELLING_LOGGERS = ("httpx", "httpcore", "httpcore.http11", "httpcore.http2", "httpcore.connection", "httpcore.proxy")
"""Those that log the addresses of requests and the targets of redirects, some on the level DEBUG only. A filter on a
logger does not count for those below it, so each is named."""

_silent: ContextVar[bool] = ContextVar("wan27_upload_is_silent", default=False)


class silence:  # noqa: N801 - used as a statement
    """While this is entered, httpx does not log the addresses of requests: they can be signed."""

    async def __aenter__(self) -> None:
        self._token = _silent.set(True)

    async def __aexit__(self, *_: object) -> None:
        _silent.reset(self._token)


class _Hush(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not _silent.get()


_hush = _Hush()


def hush(obeyed: logging.Filter = _hush) -> None:
    """Have the loggers that tell addresses obey `silence`, or another filter; adding one twice does nothing."""
    for name in TELLING_LOGGERS:
        logging.getLogger(name).addFilter(obeyed)
