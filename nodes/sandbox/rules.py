"""The rules of a request body that the service checks at once, before it creates a task.

Written from the service's documentation, and apart from the client's own checks on purpose: a mistake in one of the two
shows as a difference. The numbers come from `nodes/core/limits.py`.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

from ..core import limits

MEDIA = ("image_url", "last_frame_url", "first_clip_url", "driving_audio_url")
IMAGES = ("image_url", "last_frame_url")
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
_DATA_URI = re.compile(r"data:image/[a-z0-9.+-]+;base64,[A-Za-z0-9+/]+={0,2}", re.IGNORECASE)


class BodyError(ValueError):
    """The body breaks a rule; the text names it."""


def parse_body(raw: bytes) -> dict[str, Any]:
    """Decode and check the body of a submit; return its fields as sent, without defaults. Raises BodyError."""
    try:
        body = json.loads(raw, object_pairs_hook=_unique, parse_constant=_no_constant)
    except BodyError:
        raise
    except (ValueError, RecursionError) as error:
        raise BodyError(f"the body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise BodyError("the body must be a JSON object")
    _check_body(body)
    return body


def _check_body(body: dict[str, Any]) -> None:
    for name, value in body.items():
        _check_type(name, value)
    _check_length(body, "prompt", limits.PROMPT_CHARS)
    _check_length(body, "negative_prompt", limits.NEGATIVE_PROMPT_CHARS)
    _check_range(body, "duration", limits.DURATION_SECONDS)
    _check_range(body, "seed", limits.SEED)
    if body.get("resolution", "720P") not in limits.RESOLUTIONS:
        raise BodyError(f"resolution must be one of {', '.join(limits.RESOLUTIONS)}, got {body['resolution']!r}")
    for name in MEDIA:
        if name in body:
            _check_url(name, body[name])
    if not body.keys() & {"image_url", "first_clip_url"}:
        raise BodyError("one of image_url and first_clip_url is required")
    if {"image_url", "first_clip_url"} <= body.keys():
        raise BodyError("image_url and first_clip_url are mutually exclusive")
    if {"first_clip_url", "driving_audio_url"} <= body.keys():
        raise BodyError("driving_audio_url cannot be used with first_clip_url")


def _check_type(name: str, value: Any) -> None:
    if name not in TYPES:
        raise BodyError(f"unknown field {name!r}")
    if value is None or value == "":
        raise BodyError(f"{name} is {json.dumps(value)}: leave an unset field out of the body")
    # bool is an int in Python, but not in JSON
    if type(value) is not TYPES[name]:
        wanted = {str: "a string", int: "an integer", bool: "a boolean"}[TYPES[name]]
        raise BodyError(f"{name} must be {wanted}, got {json.dumps(value)[:60]}")
    if isinstance(value, str) and any(0xD800 <= ord(character) <= 0xDFFF for character in value):
        raise BodyError(f"{name} contains half of a surrogate pair, which is not a character")


def _check_length(body: dict[str, Any], name: str, limit: int) -> None:
    length = len(body.get(name, ""))
    if length > limit:
        raise BodyError(f"{name} has {length} characters, the limit is {limit}")


def _check_range(body: dict[str, Any], name: str, bounds: tuple[int, int]) -> None:
    low, high = bounds
    if name in body and not low <= body[name] <= high:
        raise BodyError(f"{name} must be in [{low}, {high}], got {body[name]}")


def _check_url(name: str, url: str) -> None:
    if url[:5].lower() == "data:":
        if name not in IMAGES:
            raise BodyError(f"{name} must be an http or https URL; data URIs are for images only")
        if not _DATA_URI.fullmatch(url):
            raise BodyError(f"{name} must be data:image/...;base64,... with base64 content")
        return
    shown = repr(url if len(url) <= 100 else url[:97] + "...")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise BodyError(f"{name} is not a URL: {shown}") from None
    if parts.scheme.lower() not in ("http", "https") or not host:
        raise BodyError(f"{name} must be an http or https URL with a host, got {shown}")
    if any(character <= " " or character == "\x7f" or character.isspace() for character in url):
        raise BodyError(f"{name} contains white space or control characters: {shown}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BodyError("a field is given more than once")
    return found


def _no_constant(name: str) -> Any:
    raise BodyError(f"{name} is not a JSON number")
