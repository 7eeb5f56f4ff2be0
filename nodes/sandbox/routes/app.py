"""The application: all routes, and who may use them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from ...core.addresses import is_loopback
from ..faults import Faults
from ..options import SandboxOptions
from ..responses import error
from ..store import Store
from ..tasks import Tasks
from ..thread_pool import Pool
from .control import Control
from .results import Results
from .service import Service
from .uploads import Uploads

log = logging.getLogger(__name__)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(
    store: Store,
    tasks: Tasks,
    chores: Pool,
    options: SandboxOptions,
    *,
    base_url: list[str],
    down: Callable[[float], None],
) -> web.Application:
    """Put the routes together. `base_url` is filled in when the port is known."""
    faults = Faults()
    app = web.Application(middlewares=[_guard], client_max_size=options.max_body_bytes)
    for part in (
        Service(store, tasks, chores, faults, options, base_url),
        Uploads(store, faults, options, base_url),
        Results(store, faults),
        Control(store, faults, down),
    ):
        app.add_routes(part.routes())
    return app


@web.middleware
async def _guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Keep web pages out, and give every error the shape of the vendor."""
    if not is_loopback(_host(request.host)):
        # a page whose name was made to lead here: its requests carry its own name
        return error(403, "API_NOT_ALLOWED", "the sandbox answers on loopback names only")
    origin = request.headers.get("Origin")
    if origin is not None and request.method not in ("GET", "HEAD") and not is_loopback(_host(origin.split("//")[-1])):
        return error(403, "API_NOT_ALLOWED", "not from this origin")
    return await _answered(request, handler)


async def _answered(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as problem:
        if problem.status in (404, 405):
            return error(problem.status, "API_NOT_FOUND", f"there is no {request.method} {request.path}")
        return error(problem.status, "INVALID_REQUEST_BODY", problem.text or problem.reason)
    except ConnectionError:
        raise
    except Exception as problem:
        log.exception("the sandbox failed at %s %s", request.method, request.path)
        return error(500, "INTERNAL_ERROR", f"the sandbox failed: {type(problem).__name__}: {problem}")


def _host(value: str) -> str:
    """Host without port of a Host header."""
    return value[: value.find("]") + 1] if value.startswith("[") else value.partition(":")[0]
