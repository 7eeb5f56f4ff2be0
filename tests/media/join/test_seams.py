from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from av import VideoFrame

from nodes.media.join.seams import repeats
from tests.media.shots import SIZE, join, scene, shot
from tests.media_files import Clip, Pixels


def frame_of(pixels: np.ndarray) -> VideoFrame:
    return VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")


def small_square(start: int) -> Callable[[Clip, int], Pixels]:
    """Return how to draw a square of 10 pixels that moves three a frame, the only thing that moves."""

    def draw(clip: Clip, index: int) -> Pixels:
        image = np.full((clip.size[1], clip.size[0], 3), 90, np.uint8)
        left = 20 + 3 * (start + index)
        image[100:110, left : left + 10] = 200
        return image

    return draw


def test_repeats_sees_a_small_thing_move(tmp_path: Path) -> None:
    made = [
        shot(tmp_path / f"{start}.mp4", small_square(start), size=(640, 360), frames=6, audio=None)
        for start in (0, 5, 11)
    ]
    film, _ = join(made, tmp_path, drop_repeated=True)
    assert [seam.dropped for seam in film.seams] == [True, False]


def test_repeats_takes_no_step_from_a_frame_that_the_rate_of_the_film_repeats() -> None:
    earlier, last = (scene(start)(Clip(size=SIZE), 0) for start in (0, 10))
    again = last.copy()
    again[:48, :80] += 1  # as if encoded again
    shown, other = frame_of(again), frame_of(scene(20)(Clip(size=SIZE), 0))
    before = [frame_of(earlier), frame_of(last)]
    assert repeats(before, [shown, shown])
    assert not repeats(before, [other, other])
