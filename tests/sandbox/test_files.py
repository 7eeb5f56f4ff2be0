from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nodes.sandbox.files import locked, read_json, remove, write_json

ROOT = Path(__file__).resolve().parents[2]


def test_locked_gives_up_after_its_timeout(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(TimeoutError), locked(tmp_path / "lock", timeout=0.05):
        pass
    with locked(tmp_path / "lock", timeout=0.05):
        pass


def test_locked_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from nodes.sandbox.files import locked\n"
        "with locked(Path(sys.argv[1])): print(True, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "True"
        with pytest.raises(TimeoutError), locked(tmp_path / "lock", timeout=0):
            pass
        process.kill()
        process.wait()
    with locked(tmp_path / "lock", timeout=0):
        pass


def test_read_json_returns_none_for_broken_files(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"text": "猫"})
    assert read_json(tmp_path / "a") == {"text": "猫"}
    for broken in (b"", b"[1]", b"{", b"\xff"):
        (tmp_path / "b").write_bytes(broken)
        assert read_json(tmp_path / "b") is None
    assert read_json(tmp_path / "nothing") is None
    remove(tmp_path / "nothing")
