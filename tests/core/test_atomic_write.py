from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nodes.core.atomic_write import write_atomically
from nodes.core.disk import patiently
from tests.systems import is_private


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
