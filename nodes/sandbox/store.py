"""What the sandbox keeps on disk: uploads, tasks and results.

    state_dir/
      secret               signs the URLs of results
      media/SHA256         files by content
      uploads/TOKEN.json   the file of an upload URL, and when it expires
      tasks/ID.json        one task
      results/KEY.mp4      videos, named by what they were rendered from
      owners/ID.lock       locked by each running sandbox process
      state.lock           locked while several of these files change together
      temporary/           files being written

Several processes may use one directory: every file is written to a temporary name and renamed, and what needs
more than that happens under a lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import math
import os
import re
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import limits
from ..core.disk import remove, replace, write_atomically
from ..core.file_lock import locked
from ..core.process_lock import ProcessLock
from ..core.temporary import OWNERS
from .files import read_json, write_json

_FOLDERS = ("media", "uploads", "tasks", "results", "temporary")
_KEEP_SECONDS = limits.TASK_QUERY_HOURS * 3600.0
_MAX_BYTES = 2 << 30
"""Uploads and tasks are deleted when they are older than this, or when all files together are larger."""
_GRACE_SECONDS = 900.0
"""Files younger than this are never deleted: what refers to them may not be written yet."""


_TOKEN_BYTES = 24
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
"""The length keeps names that Windows reserves for devices, such as con and com1, from reaching the file system."""


class TooLargeError(Exception):
    """A stream has more bytes than allowed."""


@dataclass(frozen=True)
class _Entry:
    """An upload or a task, as `prune` sees it. Times are seconds since the epoch.

    A running task never expires (inf). `files` are the names of files in media/ and results/, without suffix.
    """

    path: Path
    created: float
    expires: float
    files: set[str]


class Store:
    """One state directory, as seen by one sandbox process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in _FOLDERS:
            (root / name).mkdir(parents=True, exist_ok=True)
        self.process_lock = ProcessLock(root / OWNERS)
        """Held while this process works on tasks; its token is the `owner` of these tasks."""
        self._secret = self._load_secret()

    def _exclusive(self) -> contextlib.AbstractContextManager[None]:
        """Lock the directory against other processes."""
        return locked(self.root / "state.lock")

    # --- files by content

    @contextlib.contextmanager
    def temporary(self) -> Iterator[Path]:
        """Provide a new path for a file that is being written. A file that is still there at the end is deleted."""
        path = self.root / "temporary" / uuid.uuid4().hex
        try:
            yield path
        finally:
            remove(path)

    async def keep_stream(self, chunks: AsyncIterator[bytes], max_bytes: int) -> str:
        """Store a stream of bytes; return their SHA-256. Raises TooLargeError if there are more than `max_bytes`."""
        digest, size = hashlib.sha256(), 0
        with self.temporary() as path:
            with path.open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > max_bytes:
                        raise TooLargeError
                    digest.update(chunk)
                    file.write(chunk)
            return self._keep(path, digest.hexdigest())

    def keep_bytes(self, data: bytes) -> str:
        """Store bytes; return their SHA-256."""
        with self.temporary() as path:
            path.write_bytes(data)
            return self._keep(path, hashlib.sha256(data).hexdigest())

    def _keep(self, path: Path, sha256: str) -> str:
        try:
            os.utime(self.media(sha256))
        except OSError:
            replace(path, self.media(sha256))
        return sha256

    def media(self, sha256: str) -> Path:
        """Return the path of the file with this content, whether it exists or not."""
        return self.root / "media" / sha256

    def result(self, key: str) -> Path:
        """Return the path of the video with this key, whether it exists or not."""
        return self.root / "results" / f"{key}.mp4"

    # --- uploads

    def add_upload(self, *, sha256: str, mime: str, seconds: float) -> str:
        """Record an upload whose URL expires after `seconds`; return the unguessable token of the URL."""
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), time.time()
        entry = {"sha256": sha256, "mime": mime, "created": now, "expires": now + seconds}
        write_json(self.root / "uploads" / f"{token}.json", entry)
        return token

    def upload(self, token: str) -> dict[str, Any] | None:
        """Return the record of an upload, even if it has expired; None for an unknown token."""
        if not _TOKEN.fullmatch(token):
            return None
        return read_json(self.root / "uploads" / f"{token}.json")

    def upload_file(self, entry: dict[str, Any]) -> Path | None:
        """Return the file of an upload; None if it has expired."""
        path = self.media(entry["sha256"])
        return path if entry["expires"] >= time.time() and path.exists() else None

    # --- tasks

    def write_task(self, task: dict[str, Any]) -> None:
        write_json(self._task_path(task["task_id"]), task)

    def task(self, task_id: str) -> dict[str, Any] | None:
        """Return a task as some process last wrote it; None if it does not exist."""
        try:
            canonical = str(uuid.UUID(task_id))
        except ValueError:
            return None
        return read_json(self._task_path(task_id)) if canonical == task_id else None

    def tasks(self) -> list[dict[str, Any]]:
        found = (read_json(path) for path in (self.root / "tasks").glob("*.json"))
        return [task for task in found if task is not None]

    def is_abandoned(self, task: dict[str, Any]) -> bool:
        """Return whether a task is unfinished and its process is gone."""
        return not task["outcome"] and not self.process_lock.is_held_by(task["owner"])

    def adopt(self, task_id: str) -> dict[str, Any] | None:
        """Take over an unfinished task whose process is gone; return None for every other task."""
        with self._exclusive():
            task = self.task(task_id)
            if task is None or not self.is_abandoned(task):
                return None
            task["owner"] = self.process_lock.token
            self.write_task(task)
            return task

    def _task_path(self, task_id: str) -> Path:
        return self.root / "tasks" / f"{task_id}.json"

    # --- signatures

    def sign(self, text: str) -> str:
        """Return a signature that only this state directory can make."""
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()[:32]

    def _load_secret(self) -> bytes:
        path = self.root / "secret"
        with self._exclusive():
            if not path.exists():
                write_atomically(path, secrets.token_bytes(32))
                path.chmod(0o600)
        return path.read_bytes()

    # --- pruning

    def prune(self, *, keep_seconds: float = _KEEP_SECONDS, max_bytes: int = _MAX_BYTES) -> None:
        """Delete what has expired, the oldest entries beyond `max_bytes`, and files that nothing refers to."""
        with self._exclusive():
            now, used, needed = time.time(), 0, set[str]()
            files = [path for folder in ("media", "results") for path in (self.root / folder).iterdir()]
            sizes = {path.stem: path.stat().st_size for path in files}
            for entry in sorted(self._entries(keep_seconds), key=lambda entry: entry.created, reverse=True):
                # a file that several entries refer to counts once, for the newest
                used += sum(sizes.pop(name, 0) for name in entry.files)
                if entry.expires < now or (used > max_bytes and not math.isinf(entry.expires)):
                    remove(entry.path)
                else:
                    needed |= entry.files
            for path in (*files, *(self.root / "temporary").iterdir()):
                with contextlib.suppress(OSError):
                    if path.stem not in needed and path.stat().st_mtime + _GRACE_SECONDS <= now:
                        remove(path)
            self.process_lock.remove_stale()

    def _entries(self, keep_seconds: float) -> Iterator[_Entry]:
        for path in (self.root / "uploads").glob("*.json"):
            upload = read_json(path) or {"created": 0.0, "expires": 0.0, "sha256": ""}
            expires = max(upload["created"] + keep_seconds, upload["expires"])
            yield _Entry(path, upload["created"], expires, {upload["sha256"]})
        for task in self.tasks():
            created = task["submitted_ms"] / 1000
            running = not task["outcome"] and not self.is_abandoned(task)
            expires = math.inf if running else created + keep_seconds
            yield _Entry(self._task_path(task["task_id"]), created, expires, {task["result"], *task["media"].values()})
