"""The route that gives out what storage/comfyui.py has put: files that the service fetches."""

from __future__ import annotations

from aiohttp import web

from ..services import user_dir
from ..storage.comfyui import FOLDER, find

# ComfyUI marks pictures as cacheable by anyone for a day, and proxies in front of rented machines obey: without this a
# link would outlive its end, and a proxy might hand out a picture it has compressed.
_HEADERS = {
    "Cache-Control": "private, no-store, no-transform",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Referrer-Policy": "no-referrer",
}


async def give_media(request: web.Request) -> web.StreamResponse:
    """One file that storage/comfyui.py has put, with Range, or 404 without a reason."""
    found = find(user_dir() / FOLDER, request.match_info["name"])
    if found is None:
        return web.Response(status=404, headers=_HEADERS)
    path, mime = found
    return web.FileResponse(path, headers={**_HEADERS, "Content-Type": mime})
