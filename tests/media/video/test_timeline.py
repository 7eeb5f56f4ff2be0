from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from nodes.media.decode.decode import DecodeOptions, decode
from nodes.media.video.timeline import PacketError, packets_of
from nodes.media.video.video_input import open_video
from tests.media.field_pictures import write_field_pictures
from tests.media_reading import reference, same_frames


@pytest.mark.parametrize("error", [IndexError("list index out of range"), ValueError("no"), av.EOFError(1, "cut off")])
def test_packets_of_a_damaged_file_end_whatever_pyav_raises(error: Exception) -> None:
    class Damaged:
        """A transport stream can name a stream in its midst that PyAV has no place for."""

        def demux(self, _streams: Any) -> Iterator[str]:
            yield "one"
            raise error

    packets = packets_of(Damaged(), [])  # type: ignore[arg-type]

    assert next(packets) == "one"
    with pytest.raises(PacketError):
        next(packets)


@pytest.mark.parametrize("ending", ["ts", "mkv"])
def test_timeline_of_field_pictures_has_one_time_for_both_fields_of_a_frame(tmp_path: Path, ending: str) -> None:
    path = write_field_pictures(tmp_path / f"broadcast.{ending}", greys=list(range(20, 180, 2)))

    with open_video(path) as video:
        times = [video.timeline.time(index) for index in range(80)]
        assert (video.rate, video.timeline.packets, len(video.timeline.ticks)) == (25, 80, 80)
        assert times == [times[0] + Fraction(index, 25) for index in range(80)]
    whole = decode(path)
    assert (whole.fps, whole.frame_count, whole.warnings) == (25, 80, ())
    assert same_frames(whole.images.numpy(), reference(path))
    for options in (DecodeOptions(max_frames=2), DecodeOptions(start_time=1, duration=1, every_nth=5)):
        part = decode(path, options)
        first = round(options.start_time * 25)
        stop = first + (options.max_frames or 25)
        assert same_frames(part.images.numpy(), reference(path)[first : stop : options.every_nth])
        assert part.fps == Fraction(25, options.every_nth)
