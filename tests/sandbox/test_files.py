from __future__ import annotations

from pathlib import Path

from nodes.sandbox.files import read_json, remove, write_json


def test_read_json_returns_none_for_broken_files(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"text": "猫"})
    assert read_json(tmp_path / "a") == {"text": "猫"}
    for broken in (b"", b"[1]", b"{", b"\xff"):
        (tmp_path / "b").write_bytes(broken)
        assert read_json(tmp_path / "b") is None
    assert read_json(tmp_path / "nothing") is None
    remove(tmp_path / "nothing")
