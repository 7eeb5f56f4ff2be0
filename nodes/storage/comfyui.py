"""Lets this ComfyUI serve the files itself, if it can be reached from the internet, as on a rented GPU.

The name of a file, `<expiry>-<random>.<extension>`, has 192 random bits and says until when the file is served. There
is no other state, so links survive a restart, and another process such as the check command can add files too. The
route is in nodes/panel/file_handlers.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from ..config.storage_options import Options
from ..core.disk import remove, replace
from ..core.errors import StorageError, reason_of
from ..media.files import MIME, MediaFile
from .base import OnProgress, StoredUrl, read_chunks

ROUTE = "/wan27/media/"
FOLDER = "media"

_NAME = re.compile(rf"(\d{{10}})-[0-9a-f]{{48}}\.({'|'.join(MIME)})")
_STALE_PART_SECONDS = 3600


class ComfyStorage:
    """Copies files into the folder that the route serves, as the user may change or delete the originals.

    `values` is the table [storage.comfyui], `directory` the pack's own folder. Raises StorageError, which names the
    missing or unusable setting.
    """

    public_links, privacy_notice = False, ""

    def __init__(self, values: Mapping[str, Any], directory: Path) -> None:
        options = Options("comfyui", values)
        what = "the address at which this ComfyUI can be reached from the internet"
        url = options.check_url("public_url", options.require("public_url", what), query=False)
        self._base_url = url.rstrip("/").removesuffix("/api")
        self._hours = options.hours()
        self._folder = directory / FOLDER
        self.name = f"comfyui {self._base_url}"

    async def put(self, file: MediaFile, *, on_progress: OnProgress | None = None) -> StoredUrl:
        expires_at = int(time.time() + self._hours * 3600)
        name = f"{expires_at}-{secrets.token_hex(24)}.{file.extension}"
        part = self._folder / f"{name}.part"
        try:
            await asyncio.to_thread(self._prepare)
            await _copy(file, part, on_progress)
            await asyncio.to_thread(replace, part, self._folder / name)
        except OSError as error:
            problem = reason_of(error)
            raise StorageError(f"The file cannot be copied to {self._folder}: {problem}.") from error
        finally:
            remove(part)
        return StoredUrl(f"{self._base_url}{ROUTE}{name}", float(expires_at))

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_expired(self._folder)


async def _copy(file: MediaFile, target: Path, on_progress: OnProgress | None) -> None:
    # Opened on the event loop: if this is cancelled while a thread opens the file, it stays behind.
    with target.open("xb") as copy:
        async with aclosing(read_chunks(file, on_progress)) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(copy.write, chunk)


def find_file(folder: Path, name: str) -> tuple[Path, str] | None:
    """Return the file and MIME type for the last part of a URL, or None if there is none, or it has expired."""
    match = _NAME.fullmatch(name)
    if match is None or int(match[1]) <= time.time():
        return None
    path = folder / name
    # A symbolic link in the folder could lead anywhere.
    if path.is_symlink() or not path.is_file():
        return None
    return path, MIME[match[2]]


def remove_expired(folder: Path) -> None:
    """Delete the files that have expired, and partial files of an interrupted process."""
    now = time.time()
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name.removesuffix(".part"))
        if match is None:
            continue
        with contextlib.suppress(OSError):
            stale = path.suffix == ".part" and path.stat().st_mtime < now - _STALE_PART_SECONDS
            if int(match[1]) <= now or stale:
                path.unlink()
