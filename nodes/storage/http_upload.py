"""Sending a file over HTTP: streamed from disk, tried again as long as it makes sense, and silent about addresses.

An upload costs nothing and its name is new every time, so it may be sent again whatever became of the first one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from ..core.backoff import Backoff, jitter, retry_after_seconds
from ..core.errors import StorageError
from ..core.redaction import suppress_url_logs

TIMEOUT = httpx.Timeout(connect=10.0, read=120.0, write=60.0, pool=10.0)
"""Seconds. Reading is long because some hosts answer only after they have scanned the file."""

ATTEMPTS = 4
BACKOFF = Backoff(first_seconds=1.0, longest_seconds=30.0, longest_retry_after=30.0)
"""Short, because the user is waiting: after four attempts the error says what to change."""
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


async def send(upload: Upload, *, setting: str, attempts: int = ATTEMPTS, backoff: Backoff = BACKOFF) -> Answer:
    """Send a file and return the answer, whatever its status. Redirects are not followed.

    Cancelling closes the connection and the file at once.

    Args:
        setting: which setting to name when the host cannot be reached.
        attempts: how often at most. Network trouble and the statuses 408, 425, 429 and 5xx are tried again.
        backoff: pauses between the attempts.

    Raises:
        StorageError: no attempt brought an answer, or the file cannot be read.
    """
    trouble = ""
    answer: Answer | None = None
    # A new client each time: ComfyUI runs every prompt in an event loop of its own.
    async with httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False, headers={"User-Agent": USER_AGENT}) as http:
        for attempt in range(attempts):
            if attempt:
                retry_after = retry_after_seconds(answer.headers.get("Retry-After")) if answer else None
                await asyncio.sleep(backoff.pause(attempt, jitter(), retry_after))
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
    with suppress_url_logs():
        async with (
            aclosing(upload.body()) as body,
            http.stream(upload.method, upload.url, content=body, headers=headers) as response,
        ):
            async for part in response.aiter_bytes():
                data += part
                if len(data) >= ANSWER_BYTES:
                    break
    text = data[:ANSWER_BYTES].decode("utf-8", "replace")
    return Answer(response.status_code, response.headers, text)
