"""Sends a file over HTTP: streamed from disk, retried within limits, and without its address in the log.

An upload costs nothing and its name is new every time, so it may be repeated whatever became of the first attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from ..core.addresses import at_address, direct_mounts
from ..core.backoff import Backoff, jitter, retry_after_seconds
from ..core.errors import StorageError, reason_of
from ..core.redaction import suppress_url_logs

TIMEOUT = httpx.Timeout(connect=10.0, read=120.0, write=60.0, pool=10.0)
"""Seconds. Reading is long because some hosts answer only after they have scanned the file."""

ATTEMPTS = 4
BACKOFF = Backoff(first_seconds=1.0, longest_seconds=30.0, longest_retry_after=30.0)
"""Short, because the user is waiting, and can change the setting that the error names."""

RESPONSE_BYTES = 256 * 1024
USER_AGENT = "wan27-video"

_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Upload:
    """One request that carries a file. Its address, headers and body may hold secrets and never show in a repr.

    `body` is called for every attempt, and returns the `size` bytes of content from their start. `addresses` are the
    checked IP addresses of the host, one of which to connect to; none: whatever its name resolves to.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: Callable[[], AsyncGenerator[bytes, None]] = field(repr=False)
    size: int
    addresses: Sequence[str] = ()


@dataclass(frozen=True)
class UploadResponse:
    """What the server said; at most `RESPONSE_BYTES` of it."""

    status: int
    headers: httpx.Headers = field(repr=False)
    text: str = field(repr=False)


def http_status(response: UploadResponse) -> int:
    """Return the status of a response."""
    return response.status


async def send(
    upload: Upload,
    *,
    setting: str,
    backoff: Backoff = BACKOFF,
    status_of: Callable[[UploadResponse], int] = http_status,
) -> UploadResponse:
    """Send a file and return the response, whatever its status. Redirects are not followed.

    Network errors and temporary statuses (408, 425, 429, 500, 502-504) are retried. Cancelling closes the connection
    and the file at once. `status_of` reads the status of servers that put it into the body.

    Raises:
        StorageError: no attempt brought a response, or the file cannot be read. It names `setting`.
    """
    problem = ""
    response: UploadResponse | None = None
    host = urlsplit(upload.url).hostname
    # A new client each time: ComfyUI runs every prompt in an event loop of its own.
    mounts = await asyncio.to_thread(direct_mounts, host)
    for address in upload.addresses:
        mounts |= await asyncio.to_thread(direct_mounts, address)
    headers = {"User-Agent": USER_AGENT}
    async with httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False, headers=headers, mounts=mounts) as http:
        for attempt in range(ATTEMPTS):
            if attempt:
                retry_after = retry_after_seconds(response.headers.get("Retry-After")) if response else None
                await asyncio.sleep(backoff.pause(attempt, jitter(), retry_after))
            response = None
            try:
                response = await _attempt(http, upload, attempt)
            except (httpx.LocalProtocolError, httpx.InvalidURL, ValueError) as error:
                problem = type(error).__name__  # its text can quote a header, and that a secret
                break
            except httpx.RequestError as error:
                problem = f"{type(error).__name__} {error}".strip()
            except OSError as error:
                # Raised below, outside of this block: a chained exception would hold the request.
                problem = f"the file cannot be read ({reason_of(error)})"
                break
            if response is not None and status_of(response) not in _TEMPORARY:
                return response
    if response is not None:
        return response
    raise StorageError(f"The file did not reach {host}: {problem}. Check {setting}, and the network.")


async def _attempt(http: httpx.AsyncClient, upload: Upload, attempt: int) -> UploadResponse:
    # The next attempt tries the next address: one of them may not be reachable from here.
    address = upload.addresses[attempt % len(upload.addresses)] if upload.addresses else None
    url, host, extensions = at_address(httpx.URL(upload.url), address)
    headers = {**upload.headers, "Content-Length": str(upload.size), **host}
    data = b""
    with suppress_url_logs():
        async with (
            aclosing(upload.body()) as body,
            http.stream(upload.method, url, content=body, headers=headers, extensions=extensions) as response,
        ):
            async for part in response.aiter_bytes():
                data += part
                if len(data) >= RESPONSE_BYTES:
                    break
    return UploadResponse(response.status_code, response.headers, data[:RESPONSE_BYTES].decode("utf-8", "replace"))
