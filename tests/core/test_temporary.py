from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from nodes.core.process_lock import ProcessLock
from nodes.core.temporary import OWNERS, remove_leftovers, temporary_folder


def test_temporary_folder_goes_with_its_files() -> None:
    with temporary_folder() as folder:
        (folder / "private.png").touch()
    assert not folder.exists()


def test_remove_leftovers_deletes_old_folders_of_processes_that_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = ("wan27-temporary-old", "wan27-temporary-new", "wan27-temporary-used", "wan27-temporary-dead", "other")
    for name in names:
        (tmp_path / name / OWNERS).mkdir(parents=True)
        (tmp_path / name / "private.png").touch()
    lock = ProcessLock(tmp_path / "wan27-temporary-used" / OWNERS)
    lock.acquire()
    (tmp_path / "wan27-temporary-dead" / OWNERS / f"{'0' * 16}.lock").touch()
    for name in names:
        if not name.endswith("new"):
            os.utime(tmp_path / name, (1, 1))
    remove_leftovers()
    lock.release()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"other", "wan27-temporary-new", "wan27-temporary-used"}
