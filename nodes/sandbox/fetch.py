"""Fetching the media of a request, from loopback only: the sandbox does not reach the internet."""

from __future__ import annotations

import base64
from urllib.parse import urlsplit

from ..core.addresses import is_loopback, parse_http_url
from .inspect import BOUNDS
from .store import Store, TooLargeError

UPLOAD_PATH = "/sandbox/media/"
_UNABLE = "InvalidParameter.DataInspection: Unable to download the media resource during the data inspection process."


class FetchError(Exception):
    """A media file could not be fetched. The task fails with this text."""


def upload_token(url: str) -> str | None:
    """Return the token in the URL of an upload to any sandbox on this machine; None for every other URL."""
    parts = parse_http_url(url)
    if parts is None or not is_loopback(parts.hostname) or not parts.path.startswith(UPLOAD_PATH):
        return None
    return parts.path[len(UPLOAD_PATH) :].split("/")[0]


def decode_data_uri(uri: str) -> bytes:
    """Return the content of a base64 data URI; raise ValueError if it is not valid."""
    try:
        return base64.b64decode(uri.partition(",")[2], validate=True)
    except ValueError as error:
        raise ValueError(f"the data URI is not valid base64: {error}") from None


async def fetch(store: Store, field: str, url: str) -> str:
    """Fetch a media file from this machine into the store; return its SHA-256.

    Raises:
        FetchError: not on this machine, missing, expired, or above the size limit.
    """
    host = urlsplit(url).hostname
    if not is_loopback(host):
        raise FetchError(
            f"{_UNABLE} ({field}: the sandbox does not reach the internet, so it cannot fetch from {host}; "
            "upload the file to the sandbox)"
        )
    entry = store.upload(upload_token(url) or "")
    if entry is not None:
        # by its token, not by HTTP: after a restart the port in the URL may belong to another program
        if store.upload_file(entry) is None:
            raise FetchError(f"{_UNABLE} ({field}: the URL has expired)")
        return str(entry["sha256"])
    return await _download(store, field, url)


async def _download(store: Store, field: str, url: str) -> str:
    import httpx

    limit = BOUNDS[field].max_bytes
    try:
        async with (
            httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=30) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                raise FetchError(f"{_UNABLE} ({field}: the server answered {response.status_code})")
            return await store.keep_stream(response.aiter_bytes(1 << 18), limit)
    except TooLargeError:
        raise FetchError(f"InvalidParameter: {field} has more than {limit} bytes") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchError(f"{_UNABLE} ({field}: {type(error).__name__})") from None
