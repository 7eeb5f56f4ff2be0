from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path

import pytest

from nodes.media.files import MediaError
from nodes.media.video.probe import AudioInfo, probe
from tests.media_files import RATE, Clip, turn, write


def test_what_a_file_says(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", Clip(fps=12, frames=24))

    for source in (path, str(path), BytesIO(path.read_bytes())):
        found = probe(source)
        assert (found.width, found.height, found.rotation) == (96, 64, 0)
        assert (found.frames, found.fps, found.seconds) == (24, Fraction(12), pytest.approx(2))
        assert (found.video_codec, found.pixel_format) == ("h264", "yuv420p")
        assert found.audio == AudioInfo("aac", RATE, 2, pytest.approx(2))
        assert "mp4" in found.container


def test_what_a_file_does_not_say_is_none(tmp_path: Path) -> None:
    found = probe(write(tmp_path / "clip.mkv", Clip(audio=None)))

    assert (found.frames, found.audio) == (None, None)
    assert found.seconds == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize(("quarters", "degrees", "size"), [(1, 270, (64, 96)), (2, 180, (96, 64)), (3, 90, (64, 96))])
def test_a_turned_video(tmp_path: Path, quarters: int, degrees: int, size: tuple[int, int]) -> None:
    found = probe(turn(write(tmp_path / "clip.mp4", Clip(frames=2)), quarters))

    assert (found.width, found.height, found.rotation) == (96, 64, degrees)
    assert found.upright_size == size


def test_no_video_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with pytest.raises(MediaError, match="not there any more"):
        probe(path)
    path.write_bytes(b"\0" * 100)
    with pytest.raises(MediaError, match=r"clip\.mp4 cannot be opened"):
        probe(path)
