"""Decides when two requests are the same request."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

from ..api.request import MEDIA_FIELDS, VideoRequest
from .models import Order, service_of

MediaOf = Callable[[str], "str | None"]
"""Returns a SHA-256 that identifies the media file behind a URL or data URI, None if it is unknown. Which one decides
the kind of fingerprint: the hash of the decoded content, or that of the file."""


def fingerprint(order: Order, media_of: MediaOf, *, service: str | None = None) -> str:
    """Return a SHA-256 that equal requests to the same service share.

    Equal means: the same text and values, and the same media, wherever they were uploaded to. A media file that was not
    uploaded from here is identified by its bytes if they are in the request, else by its URL. on_repeat, prompt_id and
    node_id do not count.

    Args:
        service: instead of the order's, to find the same request at another service.
    """
    service = service_of(order.connection) if service is None else service
    canonical = {"service": service, **_values(order.request, _media(order.request, media_of))}
    return _digest(json.dumps(canonical, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode())


def stored_request(request: VideoRequest, media_of: MediaOf) -> dict[str, Any]:
    """Return the request for the ledger: media by content, and if that is unknown by a URL without its query.

    Whoever has a signed URL can read the file, so the query, which contains the signature, is never stored.
    """
    content = {
        field: value if value.startswith("sha256:") else f"{_without_query(value[4:])}#{_digest(value.encode())[:16]}"
        for field, value in _media(request, media_of).items()
    }
    return _values(request, content)


def _media(request: VideoRequest, media_of: MediaOf) -> dict[str, str]:
    """Return for each media field "sha256:…", or "url:…" if the content is unknown."""
    return {field: _content(url, media_of) for field, url in request.media().items()}


def _content(url: str, media_of: MediaOf) -> str:
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
    """Return what is really sent: unset fields are left out, whether they are None or ""."""
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
