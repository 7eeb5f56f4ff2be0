from __future__ import annotations

import pytest

from nodes.sandbox.render.size import output_size


@pytest.mark.parametrize(
    ("source", "resolution", "expected"),
    [
        ((750, 1000), "720P", (816, 1104)),  # the published pair
        ((1280, 720), "720P", (1280, 720)),
        ((720, 1280), "720P", (720, 1280)),
        ((1000, 1000), "720P", (960, 960)),
        ((240, 240), "720P", (960, 960)),
        ((8000, 1000), "720P", (2704, 336)),
        ((1000, 8000), "720P", (336, 2704)),
        ((1920, 1080), "1080P", (1920, 1072)),
        ((750, 1000), "1080P", (1232, 1648)),
        ((8000, 1000), "1080P", (4064, 496)),
        ((1001, 8000), "1080P", (496, 4064)),
    ],
)
def test_output_size_follows_the_input(source: tuple[int, int], resolution: str, expected: tuple[int, int]) -> None:
    assert output_size(*source, resolution) == expected


@pytest.mark.parametrize("resolution", ["720P", "1080P"])
@pytest.mark.parametrize("width", range(240, 8001, 333))
def test_output_size_is_on_the_grid_and_near_the_area_of_the_tier(width: int, resolution: str) -> None:
    area = {"720P": 921_600, "1080P": 2_073_600}[resolution]
    for height in range(max(240, -(-width // 8)), min(8000, width * 8) + 1, 487):
        out_width, out_height = output_size(width, height, resolution)
        assert out_width % 16 == out_height % 16 == 0
        assert 0.93 * area < out_width * out_height <= area
        assert abs(out_width / out_height / (width / height) - 1) < 0.05
