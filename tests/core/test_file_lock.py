from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nodes.core.file_lock import locked, try_lock

REPO = Path(__file__).resolve().parents[2]


def test_try_lock_holds_until_the_file_is_closed(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert try_lock(first)
    assert not try_lock(second)
    os.close(first)
    assert try_lock(second)
    os.close(second)


def test_locked_gives_up_after_its_timeout(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(TimeoutError), locked(tmp_path / "lock", timeout=0.05):
        pass
    with locked(tmp_path / "lock", timeout=0.05):
        pass


def test_locked_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from nodes.core.file_lock import locked\n"
        "with locked(Path(sys.argv[1])): print(True, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "True"
        with pytest.raises(TimeoutError), locked(tmp_path / "lock", timeout=0):
            pass
        process.kill()
        process.wait()
    with locked(tmp_path / "lock", timeout=0):
        pass
