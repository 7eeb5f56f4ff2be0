from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from nodes.core.atomic_write import write_atomically


@pytest.mark.parametrize("durable", [False, True])
def test_write_atomically_shows_one_version_or_the_other(durable: bool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    versions = [bytes([letter]) * 200_000 for letter in b"ab"]
    write_atomically(path, versions[0])
    done = threading.Event()

    def write() -> None:
        for turn in range(100):
            write_atomically(path, versions[turn % 2], durable=durable)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert path.read_bytes() in versions
    writer.join()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
