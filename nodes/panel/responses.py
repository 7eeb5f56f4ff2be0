"""Answers of the routes: JSON, and errors as a sentence for the user, without local paths and signed URLs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from ..core.errors import LedgerError, SettingsError, StorageError, Wan27Error
from ..core.packages import MissingPackagesError
from ..core.redaction import redact_locations
from ..services import Process

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_NO_STORE = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}


def json_response(value: object, *, status: int = 200) -> web.Response:
    """Return a JSON response that must not be cached."""
    return web.json_response(value, status=status, headers=_NO_STORE, dumps=_dumps)


def problem(text: str, *, status: int) -> web.Response:
    """Return an error in the form of every route: {"error": "a sentence for the user"}."""
    return json_response({"error": text}, status=status)


def with_json_errors(handler: Handler, process: Process) -> Handler:
    """Wrap a handler: an error of the pack becomes a response with 409, or 500 if the ledger cannot be used."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (SettingsError, StorageError, Wan27Error) as error:
            return problem(error_text(error, process), status=500 if isinstance(error, LedgerError) else 409)

    return guarded


def error_text(error: BaseException, process: Process) -> str:
    """Return what a browser gets to see of an error."""
    if isinstance(error, MissingPackagesError):
        return error.public
    return public_text(str(error) or type(error).__name__, process)


def public_text(text: str, process: Process) -> str:
    """Return a text without the pack's folders, other paths, and what may be signed in a URL."""
    return redact_locations(text, folders=private_folders(process))


def private_folders(process: Process) -> tuple[Path, Path]:
    """Return the folders of this installation, which no text for a browser names."""
    return process.user_dir, process.output_dir


async def json_body(request: web.Request) -> Mapping[str, Any]:
    """Return the JSON object that was posted; an empty one if it is anything else."""
    try:
        body = await request.json()
    except (ValueError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, Mapping) else {}


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
