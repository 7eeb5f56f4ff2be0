"""HTTP routes that this pack adds to ComfyUI's server."""

from __future__ import annotations

import contextlib

from aiohttp import web

from .services import user_dir
from .storage.comfyui import FOLDER, ROUTE, find, remove_ended

# ComfyUI marks pictures as cacheable by anyone for a day, and proxies in front of rented machines obey: without this a
# link would outlive its end, and a proxy might hand out a picture it has compressed.
_HEADERS = {
    "Cache-Control": "private, no-store, no-transform",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Referrer-Policy": "no-referrer",
}


def register_routes() -> None:
    """Add the routes. Called while ComfyUI loads its packs; it adds each a second time below /api."""
    try:
        from server import PromptServer
    except ImportError:
        return
    with contextlib.suppress(OSError):
        remove_ended(user_dir() / FOLDER)
    # aiohttp answers HEAD with the same handler.
    PromptServer.instance.routes.get(f"{ROUTE}{{name}}")(give_media)


async def give_media(request: web.Request) -> web.StreamResponse:
    """One file that storage/comfyui.py has put, with Range, or 404 without a reason."""
    found = find(user_dir() / FOLDER, request.match_info["name"])
    if found is None:
        return web.Response(status=404, headers=_HEADERS)
    path, mime = found
    return web.FileResponse(path, headers={**_HEADERS, "Content-Type": mime})
