"""Every number of the service, once. Nodes, validation, tooltips, sandbox and tests read them here.

Every bound is inclusive. Sides are pixels, lengths are seconds, sizes are bytes; `max_aspect` is the longer side
divided by the shorter one. Media functions take the bounds as a parameter.

Source: the public documentation of Wan 2.7 image-to-video, as of 2026-11. MB are 10^6 bytes: the documentation
does not say which megabyte it means, and the smaller one is accepted under both readings.
"""

from __future__ import annotations

from dataclasses import dataclass


def within_aspect(width: int, height: int, max_aspect: float) -> bool:
    """Whether the longer side is at most `max_aspect` times the shorter one. Exact for whole numbers."""
    return max(width, height) <= min(width, height) * max_aspect


@dataclass(frozen=True)
class ImageBounds:
    """Limits of one still image."""

    min_side: int
    max_side: int
    max_aspect: float
    max_bytes: int


@dataclass(frozen=True)
class AudioBounds:
    """Limits of one audio file."""

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


MB = 1_000_000

PROMPT_CHARS = 5000
NEGATIVE_PROMPT_CHARS = 500
"""Lengths are counted in characters (Unicode code points), Chinese and English alike."""

RESOLUTIONS = ("720P", "1080P")
DEFAULT_RESOLUTION = "1080P"

DURATION_SECONDS = (2, 15)
DEFAULT_DURATION_SECONDS = 5

SEED = (0, 2_147_483_647)

IMAGE = ImageBounds(min_side=240, max_side=8000, max_aspect=8.0, max_bytes=20 * MB)
AUDIO = AudioBounds(min_seconds=2.0, max_seconds=30.0, max_bytes=15 * MB)
CLIP = ClipBounds(min_seconds=2.0, max_seconds=10.0, min_side=240, max_side=4096, max_aspect=8.0, max_bytes=100 * MB)

TIER_AREA = {"720P": 1280 * 720, "1080P": 1920 * 1080}
"""Output area in pixels, approximately; the aspect follows the input."""
SIDE_MULTIPLE = 16
"""Both sides of the output are multiples of this."""

PRICE_PER_SECOND_USD = {"720P": 0.10, "1080P": 0.15}
"""The common price elsewhere; the vendor's own was not found. A default of a setting, always called an estimate."""

TASK_QUERY_HOURS = 24
"""How long a task can be asked for: the model's own limit, the vendor documents none."""

RESULT_BYTES = 2_000 * MB
"""No 15 s video comes near this; a download beyond it is not one. Own choice, not the service's."""
