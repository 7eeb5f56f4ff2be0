from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nodes.sandbox.files import FileLock, locked, read_json, remove, write_atomically, write_json

ROOT = Path(__file__).resolve().parents[2]


def test_lock_has_one_holder(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.try_acquire()
    assert not second.try_acquire()
    first.release()
    first.release()
    assert second.try_acquire()
    second.release()


def test_locked_gives_up_after_its_timeout(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(TimeoutError), locked(tmp_path / "lock", timeout=0.05):
        pass


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from nodes.sandbox.files import FileLock\n"
        "lock = FileLock(Path(sys.argv[1])); print(lock.try_acquire(), flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "True"
        lock = FileLock(tmp_path / "lock")
        assert not lock.try_acquire()
        process.kill()
        process.wait()
    assert lock.try_acquire()
    lock.release()


def test_write_atomically_shows_one_version_or_the_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    versions = [bytes([letter]) * 200_000 for letter in b"ab"]
    write_atomically(path, versions[0])
    done = threading.Event()

    def write() -> None:
        for turn in range(100):
            write_atomically(path, versions[turn % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert path.read_bytes() in versions
    writer.join()
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_read_json_returns_none_for_broken_files(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"text": "猫"})
    assert read_json(tmp_path / "a") == {"text": "猫"}
    for broken in (b"", b"[1]", b"{", b"\xff"):
        (tmp_path / "b").write_bytes(broken)
        assert read_json(tmp_path / "b") is None
    assert read_json(tmp_path / "nothing") is None
    remove(tmp_path / "nothing")
