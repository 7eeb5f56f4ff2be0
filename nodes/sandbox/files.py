"""Files that several processes share: exclusive access, and JSON."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core.atomic_write import write_atomically
from ..core.file_lock import try_lock


@contextlib.contextmanager
def locked(path: Path, *, timeout: float = 10.0) -> Iterator[None]:
    """Hold the lock on `path`; raise TimeoutError if it is not free in time."""
    end = time.monotonic() + timeout
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not try_lock(descriptor):
            if time.monotonic() > end:
                raise TimeoutError(f"another process has held {path} for more than {timeout:g} s")
            time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    write_atomically(path, json.dumps(value, ensure_ascii=False, indent=1).encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file; None if the file is missing or broken."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def remove(path: Path) -> None:
    """Delete a file if possible. Windows keeps files that are being read; the next prune deletes them."""
    with contextlib.suppress(OSError):
        path.unlink()
