"""JSON files that several processes share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..core.disk import patiently, write_atomically


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
