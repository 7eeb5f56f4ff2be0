from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nodes.core.errors import LedgerError
from nodes.ledger.process_lock import Presence

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "locks"


def test_alive_from_show_to_hide(folder: Path) -> None:
    here, there = Presence(folder), Presence(folder)
    assert not there.alive(here.token)
    here.show()
    here.show()
    assert here.alive(here.token)
    assert there.alive(here.token)
    here.hide()
    assert not there.alive(here.token)
    here.show()
    assert there.alive(here.token)
    here.hide()
    assert not list(folder.iterdir())


@pytest.mark.parametrize("token", ["", "../../etc/passwd", "0" * 15, "0" * 16, "F" * 16])
def test_who_never_was_is_not_alive(folder: Path, token: str) -> None:
    assert not Presence(folder).alive(token)


def test_a_killed_process_is_dead_and_its_file_goes(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nodes.ledger.process_lock import Presence\n"
        f"presence = Presence(Path({str(folder)!r})); presence.show()\n"
        "print(presence.token, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    token = process.stdout.readline().decode().strip()
    here = Presence(folder)
    assert here.alive(token)
    process.kill()
    process.communicate()
    assert not here.alive(token)
    here.show()
    here.tidy()
    assert [path.stem for path in folder.iterdir()] == [here.token]
    here.hide()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_keep_its_parent_alive(folder: Path) -> None:
    code = (
        "import os, time; from pathlib import Path; from nodes.ledger.process_lock import Presence\n"
        f"presence = Presence(Path({str(folder)!r})); presence.show()\n"
        "ready, told = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.write(told, b'x'); time.sleep(60)\n"
        "os.read(ready, 1); print(presence.token, os.getpid(), flush=True); os.kill(os.getpid(), 9)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=REPO, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    token = process.stdout.readline().decode().split()[0]
    process.wait()
    try:
        assert not Presence(folder).alive(token)
    finally:
        os.killpg(process.pid, 9)


def test_a_folder_that_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / "locks").touch()
    with pytest.raises(LedgerError, match="nothing is sent"):
        Presence(tmp_path / "locks").show()
