"""What the sandbox keeps on disk: uploads, tasks and results.

    state_dir/
      secret               signs the URLs of results
      media/SHA256         files by content
      uploads/TOKEN.json   the file of an upload URL, and when it expires
      tasks/ID.json        one task
      results/KEY.mp4      videos, named by what they were rendered from
      owners/ID.lock       locked by each running sandbox process
      temporary/           files being written

Several processes may use one directory: every file is written to a temporary name and renamed, and what needs
more than that happens under a lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .files import FileLock, locked, read_json, remove, replace, write_atomically, write_json

_FOLDERS = ("media", "uploads", "tasks", "results", "owners", "temporary")
_GRACE_SECONDS = 900.0
"""Files younger than this are never deleted: what refers to them may not be written yet."""


class Store:
    """One state directory, as seen by one sandbox process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in _FOLDERS:
            (root / name).mkdir(parents=True, exist_ok=True)
        self.owner = uuid.uuid4().hex
        self._own_lock = FileLock(root / "owners" / f"{self.owner}.lock")
        self._secret = self._load_secret()

    def open(self) -> None:
        """Lock the owner file of this process, so that no other process takes over its tasks."""
        with self.exclusive():
            if not self._own_lock.try_acquire():
                raise RuntimeError(f"another sandbox holds the owner file {self.owner}")

    def close(self) -> None:
        """Release the owner file."""
        self._own_lock.release()
        remove(self.root / "owners" / f"{self.owner}.lock")

    def alive(self, owner: str) -> bool:
        """Return whether the process with this owner id still runs."""
        if owner == self.owner:
            return True
        path = self.root / "owners" / f"{Path(owner).name}.lock"
        if not path.exists():
            return False
        lock = FileLock(path)
        if not lock.try_acquire():
            return True
        lock.release()
        remove(path)
        return False

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Lock the directory against other processes."""
        with locked(self.root / "state.lock"):
            yield

    # --- files by content

    def temporary(self) -> Path:
        """Return a new path for a file that is being written."""
        return self.root / "temporary" / uuid.uuid4().hex

    def keep(self, temporary: Path, sha256: str) -> Path:
        """Move a complete file to its place in media/."""
        target = self.media(sha256)
        with contextlib.suppress(OSError):
            os.utime(target)
        if target.exists():
            remove(temporary)
        else:
            replace(temporary, target)
        return target

    def keep_bytes(self, data: bytes) -> str:
        """Store bytes; return their SHA-256."""
        sha256 = hashlib.sha256(data).hexdigest()
        temporary = self.temporary()
        temporary.write_bytes(data)
        self.keep(temporary, sha256)
        return sha256

    def media(self, sha256: str) -> Path:
        """Return the path of the file with this content, whether it exists or not."""
        return self.root / "media" / sha256

    def result(self, key: str) -> Path:
        """Return the path of the video with this key, whether it exists or not."""
        return self.root / "results" / f"{key}.mp4"

    # --- uploads

    def add_upload(self, *, name: str, sha256: str, size: int, mime: str, seconds: float) -> str:
        """Record an upload; return the unguessable token of its URL."""
        token = secrets.token_urlsafe(24)
        entry = {"name": name, "sha256": sha256, "size": size, "mime": mime, "created": time.time()}
        write_json(self.root / "uploads" / f"{token}.json", {**entry, "expires": time.time() + seconds})
        return token

    def upload(self, token: str) -> dict[str, Any] | None:
        """Return the record of an upload, even if it has expired; None for an unknown token."""
        if not token.replace("-", "").replace("_", "").isalnum() or len(token) > 64:
            return None
        return read_json(self.root / "uploads" / f"{token}.json")

    # --- tasks

    def write_task(self, task: dict[str, Any]) -> None:
        """Write a task."""
        write_json(self.root / "tasks" / f"{task['task_id']}.json", task)

    def task(self, task_id: str) -> dict[str, Any] | None:
        """Return a task as any process wrote it last; None if it does not exist."""
        try:
            canonical = str(uuid.UUID(task_id))
        except ValueError:
            return None
        return read_json(self.root / "tasks" / f"{canonical}.json") if canonical == task_id else None

    def tasks(self) -> list[dict[str, Any]]:
        """Return all tasks."""
        found = (read_json(path) for path in (self.root / "tasks").glob("*.json"))
        return [task for task in found if task is not None]

    def adopt(self, task_id: str) -> dict[str, Any] | None:
        """Take over an unfinished task whose process is gone; return None for every other task."""
        with self.exclusive():
            task = self.task(task_id)
            if task is None or task["outcome"] or self.alive(task["owner"]):
                return None
            task["owner"] = self.owner
            self.write_task(task)
            return task

    # --- signatures

    def sign(self, text: str) -> str:
        """Return a signature that only this state directory can make."""
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()[:32]

    def _load_secret(self) -> bytes:
        path = self.root / "secret"
        with self.exclusive():
            if not path.exists():
                write_atomically(path, secrets.token_bytes(32))
                path.chmod(0o600)
        return path.read_bytes()

    # --- pruning

    def prune(self, keep_seconds: float, max_bytes: int) -> None:
        """Delete what is too old, then the oldest of what is too much, then files that nothing refers to."""
        with self.exclusive():
            now = time.time()
            for path in (self.root / "uploads").glob("*.json"):
                entry = read_json(path)
                if entry is None or max(entry["created"] + keep_seconds, entry["expires"]) < now:
                    remove(path)
            for task in self.tasks():
                if task["submitted_ms"] / 1000 + keep_seconds < now and self._idle(task):
                    remove(self.root / "tasks" / f"{task['task_id']}.json")
            self._shrink(max_bytes)
            self._sweep(now)
            for path in (self.root / "owners").glob("*.lock"):
                self.alive(path.stem)

    def _idle(self, task: dict[str, Any]) -> bool:
        return bool(task["outcome"]) or not self.alive(task["owner"])

    def _shrink(self, max_bytes: int) -> None:
        files = [path for folder in ("media", "results") for path in (self.root / folder).iterdir()]
        sizes = {path.name.removesuffix(".mp4"): _size(path) for path in files}
        total = sum(sizes.values())
        uploads = [(path, read_json(path) or {}) for path in (self.root / "uploads").glob("*.json")]
        aged: list[tuple[float, Path, list[str]]] = [
            (entry.get("created", 0), path, [entry.get("sha256", "")]) for path, entry in uploads
        ]
        for task in self.tasks():
            if self._idle(task):
                path = self.root / "tasks" / f"{task['task_id']}.json"
                owned = [task.get("result") or "", *task["media"].values()]
                aged.append((task["submitted_ms"] / 1000, path, owned))
        for _, path, owned in sorted(aged, key=lambda item: item[0]):
            if total <= max_bytes:
                return
            remove(path)
            # a file that others refer to is counted here but kept by the sweep; the next prune continues
            total -= sum(sizes.pop(name, 0) for name in owned)

    def _sweep(self, now: float) -> None:
        needed: set[str] = set()
        for path in (self.root / "uploads").glob("*.json"):
            needed.add((read_json(path) or {}).get("sha256", ""))
        for task in self.tasks():
            needed.add(task.get("result") or "")
            if not task["outcome"]:
                needed.update(task["media"].values())
        for folder in ("media", "results", "temporary"):
            for path in (self.root / folder).iterdir():
                with contextlib.suppress(OSError):
                    young = path.stat().st_mtime + _GRACE_SECONDS > now
                    if not young and path.name.removesuffix(".mp4") not in needed:
                        remove(path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
