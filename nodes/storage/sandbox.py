"""Stores files in the sandbox, so that graphs can be built without setting up a storage."""

from __future__ import annotations

import secrets
import time

import httpx

from ..core.errors import StorageError
from ..media.files import MediaFile
from .base import OnProgress, StoredUrl, read_chunks

UPLOAD_PATH = "/sandbox/media/"


class SandboxStorage:
    """Uploads to the sandbox that runs at `base_url`, on loopback."""

    public_links, privacy_notice = False, ""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self.name = f"sandbox {base_url}"  # with the port, as another sandbox may not have the files

    async def put(self, file: MediaFile, *, on_progress: OnProgress | None = None) -> StoredUrl:
        url = f"{self._base_url}{UPLOAD_PATH}{secrets.token_hex(8)}.{file.extension}"
        headers = {"Content-Type": file.mime, "Content-Length": str(file.size)}
        try:
            async with httpx.AsyncClient(timeout=60.0, trust_env=False) as http:
                response = await http.put(url, content=read_chunks(file, on_progress), headers=headers)
        except httpx.HTTPError as error:
            raise StorageError(f"The sandbox at {self._base_url} does not answer: {type(error).__name__}.") from error
        if response.status_code != 201:
            raise StorageError(f"The sandbox refused the file: {response.status_code} {response.text[:300]}")
        stored = response.json()
        return StoredUrl(stored["url"], time.time() + float(stored["expires_in"]))
