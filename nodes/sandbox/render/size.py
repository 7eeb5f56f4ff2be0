"""The size of the video, from the size of the input."""

from __future__ import annotations

from math import isqrt

from ...core import limits


def output_size(width: int, height: int, resolution: str) -> tuple[int, int]:
    """Return width and height of the video for an input of width x height pixels.

    The model keeps the aspect, takes the area of the tier and rounds both sides DOWN to its grid. This follows the
    published inference code of the open Wan models, and gives the one published pair: 750x1000 at 720P is 816x1104.
    (So 16:9 at 1080P becomes 1920x1072.)
    """
    area, grid = limits.TIER_AREA[resolution], limits.SIDE_MULTIPLE
    # isqrt of the whole part is the whole part of the root: exact, while floats could turn 1280 into 1279.999
    out_width = isqrt(area * width // height) // grid * grid
    out_height = isqrt(area * height // width) // grid * grid
    return out_width, out_height
