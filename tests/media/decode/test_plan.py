from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nodes.media.decode.decode import DecodeOptions, decode
from tests.media_files import Clip, repeated, write
from tests.media_reading import reference


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1000 frames at 10 fps with B-frames, a key frame every half second."""
    folder = tmp_path_factory.mktemp("long")
    short = write(folder / "short.mp4", Clip(gop=5, frames=20, audio=None, options={"bf": "3"}))
    return repeated(folder / "long.mp4", short, 50)


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        (DecodeOptions(max_frames=1), 0, 0),
        (DecodeOptions(duration=0.5), 0, 4),
        (DecodeOptions(start_time=3.0, max_frames=7, every_nth=3), 30, 48),
        (DecodeOptions(start_time=3.0, duration=1.0, want_images=False), 30, 39),
    ],
)
def test_plan_of_a_part_reads_no_more_of_a_long_file_than_it_needs(
    long: Path, options: DecodeOptions, first: int, last: int
) -> None:
    asked: list[bool] = []

    found = decode(long, options, cancelled=lambda: bool(asked.append(False)))

    # Asked once for each packet looked at and decoded, and once for each frame.
    assert len(asked) < 500
    assert found.warnings == ()
    assert np.array_equal(found.last_frame[0], reference(long)[last])
    if found.images is not None:
        assert np.array_equal(found.images.numpy(), reference(long)[first : last + 1 : options.every_nth])


def test_plan_finds_the_last_frame_of_a_long_file(long: Path) -> None:
    found = decode(long, DecodeOptions(want_images=False))

    assert found.frame_count == 1000
    assert np.array_equal(found.last_frame[0], reference(long)[-1])
