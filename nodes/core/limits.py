"""Every number of the service and every list of choices, once. Nodes, tooltips, validation and sandbox read them here.

Every bound is inclusive. Sides are pixels, lengths are seconds, sizes are bytes; `max_aspect` is the longer side
divided by the shorter one. Media functions take the bounds as an argument.

Source: the public documentation of Wan 2.7 image-to-video, as of 2026-11. A MB has 10^6 bytes: the documentation does
not say which megabyte it means, and the smaller one is valid under both readings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args


def within_aspect(width: int, height: int, max_aspect: float) -> bool:
    """Return whether the longer side is at most `max_aspect` times the shorter one. Exact for whole numbers."""
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
"""Both are counted in characters (Unicode code points), in Chinese and English alike."""

RESOLUTIONS = ("720P", "1080P")
DEFAULT_RESOLUTION = "1080P"

DURATION_SECONDS = (2, 15)
DEFAULT_DURATION_SECONDS = 5

SEED = (0, 2_147_483_647)

IMAGE = ImageBounds(min_side=240, max_side=8000, max_aspect=8.0, max_bytes=20 * MB)
AUDIO = AudioBounds(min_seconds=2.0, max_seconds=30.0, max_bytes=15 * MB)
CLIP = ClipBounds(min_seconds=2.0, max_seconds=10.0, min_side=240, max_side=4096, max_aspect=8.0, max_bytes=100 * MB)

TIER_AREA = {"720P": 1280 * 720, "1080P": 1920 * 1080}
"""Approximate output area in pixels; the aspect follows the input."""
SIDE_MULTIPLE = 16
"""Both sides of the output are multiples of this."""

PRICE_PER_SECOND_USD = {"720P": 0.10, "1080P": 0.15}
"""Default of a setting, always called an estimate: the price at most hosts, used if that of a host is not known."""

CLIP_BILLED_SECONDS = (2, 5)
"""Of a clip, so many seconds may be billed on top of the duration: some hosts do that, and the bill of others is not
known, so an estimate with a clip is a range."""

TASK_QUERY_HOURS = 24
"""How long a task can be queried. This is the model's own limit; a host may not document one."""

RESULT_BYTES = 2_000 * MB
"""No 15 s video comes near this, so a larger download is not a video. Our own choice, not the service's."""

OnLimit = Literal["fit", "error"]
ON_LIMIT: tuple[OnLimit, ...] = get_args(OnLimit)
ImageFormat = Literal["auto", "png", "jpeg", "webp"]
IMAGE_FORMATS: tuple[ImageFormat, ...] = get_args(ImageFormat)
AudioFormat = Literal["auto", "wav", "mp3"]
AUDIO_FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)
OnRepeat = Literal["reuse", "submit_again"]
ON_REPEAT: tuple[OnRepeat, ...] = get_args(OnRepeat)
"""Choices of the nodes, which workflows contain: none may be renamed or removed. The first is the default."""


def choice_problems(**values: tuple[object, Sequence[str]]) -> Iterator[str]:
    """Yield what is wrong with values that must be one of several, each given as (value, choices)."""
    for name, (value, choices) in values.items():
        if value not in choices:
            yield f"{name} is {value!r}; it must be {' or '.join(choices)}."
