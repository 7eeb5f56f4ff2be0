from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path

import pytest

from nodes.media.files import MediaError
from nodes.media.video.probe import probe
from tests.media_files import Clip, turn, write


def test_probe_reads_size_rate_and_length(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", Clip(fps=12, frames=24))

    for source in (path, str(path), BytesIO(path.read_bytes())):
        found = probe(source)
        assert (found.width, found.height) == (96, 64)
        assert (found.fps, found.seconds) == (Fraction(12), pytest.approx(2))


def test_probe_takes_the_length_of_the_container_if_the_stream_has_none(tmp_path: Path) -> None:
    assert probe(write(tmp_path / "clip.mkv", Clip(audio=None))).seconds == pytest.approx(2, abs=0.2)


def test_probe_gives_the_coded_size_of_a_rotated_video(tmp_path: Path) -> None:
    found = probe(turn(write(tmp_path / "clip.mp4", Clip(frames=2)), 1))

    assert (found.width, found.height) == (96, 64)


def test_probe_refuses_what_is_not_a_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with pytest.raises(MediaError, match="no longer exists"):
        probe(path)
    path.write_bytes(b"\0" * 100)
    with pytest.raises(MediaError, match=r"clip\.mp4 cannot be opened"):
        probe(path)
