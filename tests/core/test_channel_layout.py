from __future__ import annotations

from pathlib import Path

import av
import pytest

from nodes.core.channel_layout import usual_order
from tests.media_files import FILM_ORDER, Clip, set_channel_layout, write

OTHER_5_1 = {"film": (FILM_ORDER, (0, 2, 1, 5, 3, 4)), "center first": (124 << 16 | 6, (1, 2, 0, 5, 3, 4))}


@pytest.mark.parametrize("case", OTHER_5_1)
def test_usual_order_finds_the_channels_of_another_order(case: str, tmp_path: Path) -> None:
    tag, expected = OTHER_5_1[case]
    path = write(tmp_path / "clip.mov", Clip(audio="pcm_s16le", layout="5.1(side)"))
    set_channel_layout(path, tag)
    for _ in range(20):  # what is freed twice ends a process sooner or later
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            assert usual_order(stream) == expected
            assert stream.codec_context.channels == 6
            assert [frame.samples for frame in container.decode(stream)]


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1(side)", "7.1"])
def test_usual_order_leaves_layouts_with_a_name_alone(layout: str, tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mkv", Clip(audio="flac", layout=layout))
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert usual_order(stream) == ()
        assert stream.codec_context.layout.name == layout
