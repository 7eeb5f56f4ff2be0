"""Files that another program holds for a moment, and flushes."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from nodes.core import disk
from nodes.core.disk import flush_to_disk, patiently, replace, write_atomically
from tests.systems import is_private


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


@pytest.mark.parametrize("durable", [False, True])
def test_write_atomically_shows_one_version_or_the_other(durable: bool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    versions = [bytes([letter]) * 200_000 for letter in b"ab"]
    write_atomically(path, versions[0])
    done = threading.Event()

    def write() -> None:
        try:
            for turn in range(100):
                write_atomically(path, versions[turn % 2], durable=durable)
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.wait(0.001):  # without a pause, Windows would hardly ever let the writer rename
        assert patiently(path.read_bytes) in versions
    writer.join()
    assert is_private(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
