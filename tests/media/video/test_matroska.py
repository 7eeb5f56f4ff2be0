from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from nodes.media.video.matroska import is_cut_off
from tests.media_files import Clip, write


@pytest.mark.parametrize("ending", ["mkv", "webm"])
def test_is_cut_off_is_true_only_for_a_file_shorter_than_it_says(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"clip.{ending}", Clip(codec="libvpx-vp9", audio="libopus"))
    data = path.read_bytes()

    assert not is_cut_off(path)
    for length in (len(data) - 1, len(data) // 2):
        file = BytesIO(data[:length])
        assert is_cut_off(file)
        assert file.tell() == 0
    assert not is_cut_off(BytesIO(data + b"more"))


def test_is_cut_off_is_false_for_a_stream_without_a_size(tmp_path: Path) -> None:
    path = write(tmp_path / "live.mkv", Clip(mux={"live": "1"}))

    assert not is_cut_off(BytesIO(path.read_bytes()[:-100]))


@pytest.mark.parametrize("data", [b"", b"\x1a", b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\xff", bytes(100), b"RIFF" * 9])
def test_is_cut_off_is_false_for_other_files(data: bytes) -> None:
    assert not is_cut_off(BytesIO(data))


def test_is_cut_off_is_false_for_a_missing_file(tmp_path: Path) -> None:
    assert not is_cut_off(tmp_path / "gone.mkv")
