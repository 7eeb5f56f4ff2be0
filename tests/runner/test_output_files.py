from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nodes.ledger import Ledger
from nodes.runner.output_files import describe_video, finished
from tests.ledger.helpers import adopt
from tests.media_files import Clip, turn, write


def test_describe_video_reads_size_rate_and_length(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", Clip(fps=12, frames=24))

    assert describe_video(path) == {"seconds": 2.0, "size": [96, 64], "fps": 12.0}


def test_describe_video_takes_the_length_of_the_container_if_the_stream_has_none(tmp_path: Path) -> None:
    found = describe_video(write(tmp_path / "clip.mkv", Clip(audio=None)))

    assert found["seconds"] == pytest.approx(2, abs=0.2)


def test_describe_video_gives_the_coded_size_of_a_rotated_video(tmp_path: Path) -> None:
    assert describe_video(turn(write(tmp_path / "clip.mp4", Clip(frames=2)), 1))["size"] == [96, 64]


def test_describe_video_is_empty_and_warns_for_what_is_not_a_video(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "clip.mp4"
    assert describe_video(path) == {}
    assert "no longer exists" in caplog.text
    path.write_bytes(b"\0" * 100)
    assert describe_video(path) == {}
    assert "clip.mp4 cannot be opened" in caplog.text


def test_finished_leaves_out_impossible_times(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    record = ledger.get(adopt(ledger))
    ledger.record_result(replace(record, result_url="https://x/v.mp4", executed_at=1.0, completed_at=1e22))
    times = finished(ledger.get(record.id), tmp_path).info["times"]
    assert (times["executed"], times["completed"]) == ("1970-01-01T00:00:01Z", None)
    ledger.close()
