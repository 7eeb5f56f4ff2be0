"""PUT /sandbox/media/NAME stores a file and answers with its URL; GET of that URL returns the file."""

from __future__ import annotations

import re

from aiohttp import web

from ..fetch import UPLOAD_PATH
from ..options import SandboxOptions
from ..responses import ResponseError
from ..store import Store, TooLargeError

_MIME = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
}


class Uploads:
    """Handlers of the place that stores files for the sandbox."""

    def __init__(self, store: Store, options: SandboxOptions) -> None:
        self._store, self._options = store, options

    def routes(self) -> list[web.RouteDef]:
        return [
            web.put(UPLOAD_PATH + "{name}", self.put),
            web.get(UPLOAD_PATH + "{token}/{name}", self.get),
        ]

    async def put(self, request: web.Request) -> web.StreamResponse:
        """Stream a body to disk. Answers 201 with its URL, or 413 if it exceeds the limit of the options."""
        name = re.sub(r"[^A-Za-z0-9._-]", "_", request.match_info["name"])[-80:].lstrip(".") or "file"
        limit = self._options.max_upload_bytes
        try:
            sha256 = await self._store.keep_stream(request.content.iter_chunked(1 << 18), limit)
        except TooLargeError:
            raise ResponseError(413, "FILE_TOO_LARGE", f"the file has more than {limit} bytes") from None
        mime = _MIME.get(name.rpartition(".")[2].lower(), "application/octet-stream")
        seconds = self._options.upload_expires
        token = self._store.add_upload(sha256=sha256, mime=mime, seconds=seconds)
        url = f"{request.url.origin()}{UPLOAD_PATH}{token}/{name}"
        return web.json_response({"url": url, "sha256": sha256, "expires_in": seconds}, status=201)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Return the file, whole or by Range. Answers 404 for an unknown URL, 403 for an expired one."""
        entry = self._store.upload(request.match_info["token"])
        if entry is None:
            raise ResponseError(404, "FILE_NOT_FOUND", "no file has this URL")
        path = self._store.upload_file(entry)
        if path is None:
            raise ResponseError(403, "URL_EXPIRED", "the URL has expired")
        headers = {"Content-Type": entry["mime"], "X-Content-Type-Options": "nosniff"}
        return web.FileResponse(path, headers=headers)
