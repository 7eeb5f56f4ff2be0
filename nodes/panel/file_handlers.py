"""Handlers of the routes that serve the pack's own files: example workflows, and uploads for the service."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import web

from ..storage.comfyui import find_file
from .responses import Handler, json_response, problem

_EXAMPLES = Path(__file__).absolute().parents[2] / "example_workflows"

# ComfyUI marks images as publicly cacheable for a day, and proxies in front of rented machines obey. Without this, a
# link would outlive its expiry, and a proxy might serve a recompressed image.
_MEDIA_HEADERS = {
    "Cache-Control": "private, no-store, no-transform",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Referrer-Policy": "no-referrer",
}


async def get_example(request: web.Request) -> web.StreamResponse:
    """Answer GET /wan27/examples/{name}."""

    def read() -> Any:
        names = {path.stem: path for path in _EXAMPLES.glob("*.json")}
        path = names.get(request.match_info["name"])
        return None if path is None else json.loads(path.read_text(encoding="utf-8"))

    workflow = await asyncio.to_thread(read)
    if workflow is None:
        return problem("The pack has no example of this name.", status=404)
    return json_response(workflow)


def media_handler(folder: Path) -> Handler:
    """Return the handler of GET /wan27/media/{name}, for the files of the storage `comfyui` in `folder`."""

    async def get_media(request: web.Request) -> web.StreamResponse:
        found = find_file(folder, request.match_info["name"])
        if found is None:
            return web.Response(status=404, headers=_MEDIA_HEADERS)
        path, mime = found
        return web.FileResponse(path, headers={**_MEDIA_HEADERS, "Content-Type": mime})

    return get_media
