from __future__ import annotations

import gc
from pathlib import Path

import av
import pytest

from nodes.media.clip.shape import Shaper
from nodes.media.video.rgb import StreamColors
from tests.media_files import Clip, write

BT709 = dict.fromkeys(("colorspace", "color_primaries", "color_trc", "color_range"), 1)


@pytest.mark.parametrize("colours", [BT709, {}], ids=["plain", "converted"])
def test_shaper_leaves_no_frame_to_the_garbage_collector(colours: dict[str, int], tmp_path: Path) -> None:
    """A clip of a minute would fill the memory before it runs."""
    path = write(tmp_path / "clip.mp4", Clip(frames=40, colours=colours, audio=None))
    gc.collect()
    gc.disable()
    try:
        with av.open(str(path)) as container:
            shaper = Shaper((96, 64), StreamColors.of(container.streams.video[0]))
            for frame in container.decode(video=0):
                shaper(frame)
            alive = [each for each in gc.get_objects() if type(each) is av.VideoFrame]
    finally:
        gc.enable()
    assert len(alive) < 10
