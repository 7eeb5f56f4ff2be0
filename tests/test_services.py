"""What exists once in a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodes.ledger import TaskRecord
from nodes.services import Process


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Process:
    for name in ("NOVITA_API_KEY", "WAN27_CONNECTION", "WAN27_NOVITA_BASE_URL", "WAN27_BUDGET_PER_DAY_USD"):
        monkeypatch.delenv(name, raising=False)
    return Process(tmp_path / "user", tmp_path / "output")


def test_settings_are_read_again_only_after_a_change(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    first = process.settings()
    assert process.settings() is first
    assert process.connection_identity() == "sandbox"
    monkeypatch.setenv("NOVITA_API_KEY", "sk-a-key-0123456789")
    assert process.connection_identity() == "novita https://api.novita.ai"
    process.user_dir.mkdir()
    (process.user_dir / "config.toml").write_text('connection = "sandbox"\n')
    assert process.connection_identity() == "sandbox"


def test_ledger_is_created_once_and_reports_changes(process: Process) -> None:
    changed: list[frozenset[int]] = []
    process.subscribe(changed.append, lambda task_id, progress: None)
    ledger = process.ledger()
    assert process.ledger() is ledger
    ledger.adopt(TaskRecord(service="s", connection="novita", base_url="https://api.example", task_id="task-1"))
    ledger.close()
    assert changed == [frozenset({1})]


def test_resume_unfinished_creates_no_ledger(process: Process) -> None:
    process.resume_unfinished()
    assert not process.user_dir.exists()
