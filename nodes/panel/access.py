"""Access rules for the routes under /wan27/.

Everyone who can reach ComfyUI may use the reading routes; nothing there is secret. The writing routes, and the last
characters of the key, are for a browser on this machine that shows a page of this very server.
"""

from __future__ import annotations

from functools import wraps
from urllib.parse import urlsplit

from aiohttp import web

from ..core.addresses import is_loopback
from .responses import Handler, problem

# Behind a proxy on this machine every client looks local; the proxy names itself in one of these.
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via", "CF-Connecting-IP")


def is_local(request: web.Request) -> bool:
    """Return whether the browser runs on this machine and opened the page under a loopback name.

    The name in Host guards against DNS rebinding: there the address is loopback, but the name is the attacker's.
    """
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    if not (isinstance(peer, tuple) and peer and is_loopback(str(peer[0]))):
        return False
    if any(name in request.headers for name in _FORWARDED):
        return False
    return is_loopback(_host_of(f"//{request.headers.get('Host', '')}")) and not _is_cross_site(request)


def refusal(request: web.Request) -> str | None:
    """Return why a writing request is refused, or None."""
    if not is_local(request):
        return "This is possible only in a browser on the machine that runs ComfyUI, under 127.0.0.1 or localhost."
    origin = urlsplit(request.headers.get("Origin", ""))
    if origin.scheme not in ("http", "https") or origin.netloc.lower() != request.headers.get("Host", "").lower():
        return "This is possible only from ComfyUI's own page."
    if request.content_type != "application/json":
        return "The request must be application/json."
    return None


def read_route(handler: Handler) -> Handler:
    """Wrap a route that changes nothing: pages of other sites get 403."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        if _is_cross_site(request):
            return problem("Other sites may not request this.", status=403)
        return await handler(request)

    return guarded


def write_route(handler: Handler) -> Handler:
    """Wrap a route that changes something: what `refusal` names gets 403."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        refused = refusal(request)
        return problem(refused, status=403) if refused else await handler(request)

    return guarded


def _is_cross_site(request: web.Request) -> bool:
    return request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
