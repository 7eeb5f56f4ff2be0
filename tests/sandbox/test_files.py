from __future__ import annotations

from pathlib import Path

import pytest

from nodes.sandbox.files import read_json, write_json
from tests.systems import refuse_reads


def test_read_json_returns_none_for_broken_files(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"text": "猫"})
    assert read_json(tmp_path / "a") == {"text": "猫"}
    for broken in (b"", b"[1]", b"{", b"\xff"):
        (tmp_path / "b").write_bytes(broken)
        assert read_json(tmp_path / "b") is None
    assert read_json(tmp_path / "nothing") is None


def test_read_json_waits_for_a_file_that_is_being_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "a", {"n": 1})
    refuse_reads(monkeypatch, times=3)
    assert read_json(tmp_path / "a") == {"n": 1}
