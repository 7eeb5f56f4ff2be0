from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nodes.core import process_lock
from nodes.core.process_lock import ProcessLock

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "locks"


def test_lock_is_held_from_acquire_to_release(folder: Path) -> None:
    here, there = ProcessLock(folder), ProcessLock(folder)
    assert not there.is_held_by(here.token)
    here.acquire()
    here.acquire()
    assert here.is_held_by(here.token)
    assert there.is_held_by(here.token)
    here.release()
    assert not there.is_held_by(here.token)
    here.acquire()
    assert there.is_held_by(here.token)
    here.release()
    assert not list(folder.iterdir())


@pytest.mark.parametrize("token", ["", "../../etc/passwd", "0" * 15, "0" * 16, "F" * 16])
def test_lock_of_an_unknown_token_is_not_held(folder: Path, token: str) -> None:
    assert not ProcessLock(folder).is_held_by(token)


def test_lock_of_a_killed_process_is_not_held_and_its_file_is_removed(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nodes.core.process_lock import ProcessLock\n"
        f"lock = ProcessLock(Path({str(folder)!r})); lock.acquire()\n"
        "print(lock.token, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    token = process.stdout.readline().decode().strip()
    here = ProcessLock(folder)
    assert here.is_held_by(token)
    process.kill()
    process.communicate()
    assert not here.is_held_by(token)
    here.acquire()
    here.remove_stale()
    assert [path.stem for path in folder.iterdir()] == [here.token]
    here.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_lock_is_not_held_by_a_forked_child(folder: Path) -> None:
    code = (
        "import os, time; from pathlib import Path; from nodes.core.process_lock import ProcessLock\n"
        f"lock = ProcessLock(Path({str(folder)!r})); lock.acquire()\n"
        "ready, told = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.write(told, b'x'); time.sleep(60)\n"
        "os.read(ready, 1); print(lock.token, os.getpid(), flush=True); os.kill(os.getpid(), 9)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=REPO, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    token = process.stdout.readline().decode().split()[0]
    process.wait()
    try:
        assert not ProcessLock(folder).is_held_by(token)
    finally:
        os.killpg(process.pid, 9)


def test_lock_in_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "locks").touch()
    with pytest.raises(OSError, match="locks"):
        ProcessLock(tmp_path / "locks").acquire()


def test_lock_of_a_dead_process_is_closed_before_its_file_is_removed_on_windows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses to remove a file that anyone has open, and its file systems do not all number their files."""
    remove, descriptors = Path.unlink, list[int]()

    def unlink(path: Path, missing_ok: bool = False) -> None:
        for descriptor in descriptors:
            with pytest.raises(OSError, match=r"descriptor|handle"):
                os.fstat(descriptor)
        remove(path, missing_ok)

    def open_file(*arguments: Any) -> int:
        descriptors.append(opened(*arguments))
        return descriptors[-1]

    opened = os.open
    monkeypatch.setattr(process_lock, "_OPEN_FILES_CAN_BE_REMOVED", False)
    monkeypatch.setattr(os, "fstat", os.fstat)
    monkeypatch.setattr(os.path, "samestat", lambda *stats: False)
    here = ProcessLock(folder)
    here.acquire()
    (folder / f"{'a' * 16}.lock").touch()
    monkeypatch.setattr(os, "open", open_file)
    monkeypatch.setattr(Path, "unlink", unlink)
    here.remove_stale()
    assert [path.stem for path in folder.iterdir()] == [here.token]
    monkeypatch.undo()
    here.release()
