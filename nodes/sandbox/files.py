"""JSON files that several processes share."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from ..core.atomic_write import write_atomically
from ..core.disk import patiently


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    write_atomically(path, json.dumps(value, ensure_ascii=False, indent=1).encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file; None if the file is missing or broken."""
    try:
        value = json.loads(patiently(path.read_bytes))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def remove(path: Path) -> None:
    """Delete a file if possible. Windows keeps files that are being read; the next prune deletes them."""
    with contextlib.suppress(OSError):
        path.unlink()
