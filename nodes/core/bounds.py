"""What a place accepts of a picture, a sound or a clip. Plain numbers: the media functions take them as a parameter.

The figures of the remote service are instances of these classes in `core/limits.py`. Every bound is inclusive.
Sides are pixels, lengths are seconds, sizes are bytes; `max_aspect` is the longer side divided by the shorter one.
"""

from __future__ import annotations

from dataclasses import dataclass


def within_aspect(width: int, height: int, max_aspect: float) -> bool:
    """Whether the longer side is at most `max_aspect` times the shorter one. Exact for whole numbers."""
    return max(width, height) <= min(width, height) * max_aspect


@dataclass(frozen=True)
class ImageBounds:
    """Limits of one still picture."""

    min_side: int
    max_side: int
    max_aspect: float
    max_bytes: int


@dataclass(frozen=True)
class AudioBounds:
    """Limits of one sound file."""

    min_seconds: float
    max_seconds: float
    max_bytes: int


@dataclass(frozen=True)
class ClipBounds:
    """Limits of one video file."""

    min_seconds: float
    max_seconds: float
    min_side: int
    max_side: int
    max_aspect: float
    max_bytes: int
