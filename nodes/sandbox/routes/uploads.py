"""PUT /sandbox/media/NAME takes a file; GET of the URL it answers with gives it back."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time

from aiohttp import web

from ..faults import Faults
from ..fetch import UPLOAD_PATH
from ..options import SandboxOptions
from ..responses import error, fault_answer
from ..store import Store

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

    def __init__(self, store: Store, faults: Faults, options: SandboxOptions, base_url: list[str]) -> None:
        self._store, self._faults, self._options, self._base_url = store, faults, options, base_url

    def routes(self) -> list[web.RouteDef]:
        """Both directions."""
        return [
            web.put(UPLOAD_PATH + "{name}", self.put),
            web.get(UPLOAD_PATH + "{token}/{name}", self.get),
        ]

    async def put(self, request: web.Request) -> web.StreamResponse:
        """Stream a body to disk; 201 with its URL, 413 beyond the limit of the options."""
        fault = self._faults.pick("upload")
        answer = fault_answer(fault, failed="UPLOAD_FAILED")
        if answer is not None:
            return answer
        name = re.sub(r"[^A-Za-z0-9._-]", "_", request.match_info["name"])[-80:].lstrip(".") or "file"
        temporary = self._store.temporary()
        try:
            digest, size = hashlib.sha256(), 0
            with temporary.open("wb") as file:
                async for chunk in request.content.iter_chunked(1 << 18):
                    size += len(chunk)
                    if size > self._options.max_upload_bytes:
                        limit = self._options.max_upload_bytes
                        return error(413, "FILE_TOO_LARGE", f"the file has more than {limit} bytes")
                    digest.update(chunk)
                    file.write(chunk)
            sha256 = digest.hexdigest()
            self._store.keep(temporary, sha256)
        finally:
            temporary.unlink(missing_ok=True)
        mime = _MIME.get(name.rpartition(".")[2].lower(), "application/octet-stream")
        seconds = self._options.upload_expires
        token = self._store.add_upload(name=name, sha256=sha256, size=size, mime=mime, seconds=seconds)
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.values["seconds"])
        url = f"{self._base_url[0]}{UPLOAD_PATH}{token}/{name}"
        return web.json_response({"url": url, "sha256": sha256, "expires_in": seconds}, status=201)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """The file, whole or by Range; 404 for an unknown URL, 403 for an expired one."""
        entry = self._store.upload(request.match_info["token"])
        if entry is None:
            return error(404, "FILE_NOT_FOUND", "there is no such file")
        path = self._store.media(entry["sha256"])
        if entry["expires"] < time.time() or not path.exists():
            return error(403, "URL_EXPIRED", "the URL has expired")
        headers = {"Content-Type": entry["mime"], "X-Content-Type-Options": "nosniff"}
        return web.FileResponse(path, headers=headers)
