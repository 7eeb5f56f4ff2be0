"""When two requests are the same request."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

from ..api.request import MEDIA_FIELDS, VideoRequest
from .models import Order, service_of

MediaOf = Callable[[str], "str | None"]
"""From a URL, or data URI, of an upload to a SHA-256 that stands for the medium, None where it is not known. Which one
makes the fingerprint: that of what the medium shows, or that of its file."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def fingerprint(order: Order, media_of: MediaOf) -> str:
    """A SHA-256 that equal requests to the same service share.

    Equal means: the same text and values, and the same media, wherever they were uploaded to. A medium that was not
    uploaded from here counts by its bytes where they are in the request, else by its URL. on_repeat, prompt and node do
    not count.
    """
    canonical = {"service": service_of(order.connection), **_values(order.request, content_of(order, media_of))}
    return _digest(json.dumps(canonical, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode())


def stored_request(order: Order, media_of: MediaOf) -> str:
    """The request as JSON for the ledger: media by content, and where that is unknown by a URL without its query.

    Signed URLs let their reader in, so the query (where signatures are) never reaches the disk.
    """
    content = {
        field: value if value.startswith("sha256:") else f"{_without_query(value[4:])}#{_digest(value.encode())[:16]}"
        for field, value in content_of(order, media_of).items()
    }
    text = json.dumps(_values(order.request, content), sort_keys=True, ensure_ascii=False)
    # Half a surrogate pair can come out of a workflow's JSON, and goes into no database.
    return text.encode("utf-8", "replace").decode()


def content_of(order: Order, media_of: MediaOf) -> dict[str, str]:
    """For each medium "sha256:…", or "url:…" where its content is not known."""
    return {field: _content(order.media.get(field), url, media_of) for field, url in order.request.media().items()}


def _content(given: str | None, url: str, media_of: MediaOf) -> str:
    if given is not None and _SHA256.fullmatch(given):
        return f"sha256:{given}"
    if known := media_of(url):
        return f"sha256:{known}"
    return f"sha256:{_digest(_data_of(url))}" if url.startswith("data:") else f"url:{url}"


def _data_of(uri: str) -> bytes:
    head, _, body = uri.partition(",")
    try:
        return base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
    except binascii.Error:
        return uri.encode()


def _values(request: VideoRequest, media: Mapping[str, str]) -> dict[str, Any]:
    """What is really sent: unset fields left out, whether they are None or ""."""
    values = {item.name: getattr(request, item.name) for item in fields(request) if item.name not in MEDIA_FIELDS}
    return {name: value for name, value in {**values, **media}.items() if value is not None and value != ""}


def _without_query(url: str) -> str:
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return "unreadable URL"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
