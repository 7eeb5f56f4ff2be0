"""The application: all routes, and who may use them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from ...core.addresses import is_loopback, parse_http_url
from ..options import SandboxOptions
from ..responses import ResponseError
from ..store import Store
from ..tasks import Tasks
from .results import Results
from .service import Service
from .uploads import Uploads

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(store: Store, tasks: Tasks, options: SandboxOptions) -> web.Application:
    app = web.Application(middlewares=[_guard], client_max_size=options.max_body_bytes)
    for part in (Service(store, tasks, options), Uploads(store, options), Results(store)):
        app.add_routes(part.routes())
    return app


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep web pages out, and give every error the vendor's shape."""
    try:
        if not _is_local(f"http://{request.host}"):
            # DNS rebinding: the name of a web page that resolves to this machine is still in the Host header
            raise ResponseError(403, "API_NOT_ALLOWED", "the sandbox answers on loopback names only")
        origin = request.headers.get("Origin")
        writes = request.method not in ("GET", "HEAD")
        if writes and origin is not None and not _is_local(origin):
            raise ResponseError(403, "API_NOT_ALLOWED", "not from this origin")
        return await handler(request)
    except ResponseError as refusal:
        return refusal.response()
    except web.HTTPException as problem:
        reason, message = "INVALID_REQUEST_BODY", problem.text or problem.reason
        if problem.status in (404, 405):
            reason, message = "API_NOT_FOUND", f"no route {request.method} {request.path}"
        return ResponseError(problem.status, reason, message).response()
    except ConnectionError:
        raise
    except Exception as problem:
        log.exception("the sandbox failed at %s %s", request.method, request.path)
        message = f"the sandbox failed: {type(problem).__name__}: {problem}"
        return ResponseError(500, "INTERNAL_ERROR", message).response()


def _is_local(url: str) -> bool:
    parts = parse_http_url(url)
    return parts is not None and is_loopback(parts.hostname)
