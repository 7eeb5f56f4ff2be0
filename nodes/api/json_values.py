"""Reads values from decoded JSON of any shape. What is missing or odd is None or empty, never an exception."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

Json = Any
"""Decoded JSON of any shape. Everything that is read from it is checked."""


def mapping(value: Json) -> Mapping[str, Json]:
    """Return a JSON object as it is, and an empty one for everything else."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: Json) -> list[Mapping[str, Json]]:
    """Return the objects of a JSON array."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def text(value: Json) -> str:
    """Return a text as it is, and "" for everything else."""
    return value if isinstance(value, str) else ""


def number(value: Json) -> float | None:
    """Return a finite number, which may be given as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def integer(value: Json, most: int) -> int | None:
    """Return a whole number from 0 to `most`, and None for everything else, which has no meaning."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) <= 20:
        found: float | None = int(value)
    else:
        found = value if type(value) is int else number(value)
    return int(found) if found is not None and 0 <= found <= most else None


def in_range(value: Json, high: float) -> float | None:
    """Return a number, moved into the range from 0 to `high`."""
    found = number(value)
    return None if found is None else min(max(found, 0.0), high)


def timestamp(value: Json) -> float | None:
    """Return an ISO 8601 time in seconds since 1970; without a time zone it is UTC."""
    try:
        # Python 3.10 reads neither "Z" nor a fraction with any other number of digits than 3 or 6.
        when = datetime.fromisoformat(re.sub(r"\.\d+", "", text(value)).replace("Z", "+00:00"))
        return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None


def short(value: Json, limit: int = 200) -> str:
    """Return at most `limit` characters of a text, or of the repr of anything else."""
    shown = value if isinstance(value, str) else repr(value)
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."
