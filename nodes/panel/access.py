"""Who may ask for what: the rules for the routes under /wan27/.

Anybody who reaches ComfyUI may read what is read-only; nothing there is secret. What writes, or tells something of the
key, is for a person at this machine, in a page that this server itself has given out.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import wraps
from urllib.parse import urlsplit

from aiohttp import web

from ..core.addresses import is_loopback

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# A proxy on this machine makes everybody look local; it says so in one of these.
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via", "CF-Connecting-IP")

NO_STORE = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}


def at_this_machine(request: web.Request) -> bool:
    """Whether the browser runs where ComfyUI runs, and the page it shows was opened under a name of this machine.

    The name in Host guards against DNS rebinding: there the address is loopback, and the name is the attacker's.
    """
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    if not (isinstance(peer, tuple) and peer and is_loopback(str(peer[0]))):
        return False
    if any(name in request.headers for name in _FORWARDED):
        return False
    return is_loopback(_host_of(f"//{request.headers.get('Host', '')}")) and not _from_another_site(request)


def refusal(request: web.Request) -> str | None:
    """Why a writing request is refused, or None."""
    if not at_this_machine(request):
        return "This is possible only in a browser on the machine that runs ComfyUI, under 127.0.0.1 or localhost."
    origin = request.headers.get("Origin", "")
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or parts.netloc.lower() != request.headers.get("Host", "").lower():
        return "This is possible only from ComfyUI's own page."
    if request.content_type != "application/json":
        return "The request has to be application/json."
    return None


def reading(handler: Handler) -> Handler:
    """A route that changes nothing. Other sites' pages get nothing from it, errors are JSON."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        if _from_another_site(request):
            return problem("Other sites may not ask for this.", status=403)
        return await handler(request)

    return guarded


def writing(handler: Handler) -> Handler:
    """A route that changes something: from loopback, from our own page, as JSON, or not at all."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        refused = refusal(request)
        return problem(refused, status=403) if refused else await handler(request)

    return guarded


def problem(text: str, *, status: int) -> web.Response:
    """An error as every route tells it: {"error": "a sentence for the person"}."""
    return answer({"error": text}, status=status)


def answer(value: object, *, status: int = 200) -> web.Response:
    """JSON that no cache keeps."""
    return web.json_response(value, status=status, headers=NO_STORE, dumps=_dumps)


def _from_another_site(request: web.Request) -> bool:
    return request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
