"""Files that another program holds for a moment, flushes, and folders with a limit."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from nodes.core import disk
from nodes.core.atomic_write import write_atomically
from nodes.core.disk import FolderLimit, flush_to_disk, patiently, replace


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> list[PermissionError]:
    """Refuse as many renames as errors are put in here, as Windows does while a program has the target open."""
    left: list[PermissionError] = []
    rename = Path.replace

    def refused(self: Path, target: Path) -> Path:
        if left:
            raise left.pop()
        return rename(self, target)

    monkeypatch.setattr(disk, "PATIENCE_SECONDS", 2.0)
    monkeypatch.setattr(Path, "replace", refused)
    return left


def test_replace_tries_again_while_a_program_has_the_target_open(
    tmp_path: Path, refusals: list[PermissionError]
) -> None:
    source, target = tmp_path / "new", tmp_path / "old"
    source.write_text("new")
    target.write_text("old")
    refusals += [PermissionError(13, "Access is denied")] * 3
    replace(source, target)
    assert target.read_text() == "new" and not source.exists() and not refusals


def test_replace_that_stays_refused_raises_and_a_written_file_leaves_nothing(
    tmp_path: Path, refusals: list[PermissionError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "PATIENCE_SECONDS", 0.05)
    refusals += [PermissionError(13, "Access is denied")] * 100
    (tmp_path / "old").write_text("old")
    with pytest.raises(PermissionError):
        write_atomically(tmp_path / "old", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"


def test_patiently_raises_other_errors_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "PATIENCE_SECONDS", 3600.0)
    with pytest.raises(FileNotFoundError):
        patiently(Path("/nowhere/at/all").read_bytes)


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows refuses this")
def test_replace_waits_for_a_reader_to_close(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "new").write_text("new")
    reader = (tmp_path / "old").open()
    threading.Timer(0.2, reader.close).start()
    replace(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_text() == "new"


@pytest.mark.skipif(sys.platform == "win32", reason="no fcntl there")
@pytest.mark.parametrize("supported", [True, False])
def test_flush_to_disk_empties_the_cache_of_the_drive_on_macos(
    supported: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync on macOS returns when the data has reached the drive's cache."""
    calls: list[object] = []

    def fcntl(descriptor: int, command: int) -> int:
        calls.append(command)
        if not supported:
            raise OSError(45, "Operation not supported")
        return 0

    monkeypatch.setattr(disk.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(disk.fcntl, "fcntl", fcntl)
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("fsync"))
    write_atomically(tmp_path / "file", b"data", durable=True)
    with (tmp_path / "file").open("rb") as file:
        flush_to_disk(file.fileno())
    assert calls == ([51] if supported else [51, "fsync"]) * 2


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
