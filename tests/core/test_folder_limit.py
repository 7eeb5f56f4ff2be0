from __future__ import annotations

import os
from pathlib import Path

import pytest

from nodes.core.folder_limit import FolderLimit


@pytest.mark.parametrize(
    ("files", "total_bytes", "left"),
    [(3, None, ["c", "d", "e"]), (9, 25, ["d", "e"]), (9, None, ["a", "b", "c", "d", "e"])],
    ids=["too many", "too large", "neither"],
)
def test_folder_limit_deletes_the_oldest(files: int, total_bytes: int | None, left: list[str], tmp_path: Path) -> None:
    for age, name in enumerate("edcba"):
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(b"0123456789")
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    (tmp_path / "other.txt").write_text("stays")

    FolderLimit(".jpg", files=files, total_bytes=total_bytes).file_added(tmp_path)

    assert sorted(path.stem for path in tmp_path.glob("*.jpg")) == left
    assert (tmp_path / "other.txt").is_file()


def test_folder_limit_looks_at_the_folder_now_and_then(tmp_path: Path) -> None:
    limit = FolderLimit(".jpg", files=10)
    most = 0
    for number in range(250):
        (tmp_path / f"{number}.jpg").touch()
        limit.file_added(tmp_path)
        most = max(most, len(list(tmp_path.iterdir())))

    assert 10 < most <= 110
