"""What exists once in a process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from nodes.core.errors import SettingsError
from nodes.core.hosts import HOSTS
from nodes.ledger import TaskRecord
from nodes.runner.models import Submitted
from nodes.services import Process

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Process:
    for name in ("WAN27_CONNECTION", "WAN27_NOVITA_BASE_URL", "WAN27_BUDGET_PER_DAY_USD"):
        monkeypatch.delenv(name, raising=False)
    for host in HOSTS.values():
        monkeypatch.delenv(host.key_variable, raising=False)
    return Process(tmp_path / "user", tmp_path / "output")


def test_settings_are_read_again_only_after_a_change(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    first = process.settings()
    assert process.settings() is first
    assert process.connection_identity() == "sandbox"
    monkeypatch.setenv("NOVITA_API_KEY", "sk-a-key-0123456789")
    one = process.connection_identity()
    assert one.startswith("novita https://api.novita.ai ") and "sk-a-key" not in one
    monkeypatch.setenv("NOVITA_API_KEY", "sk-of-another-account")
    assert process.connection_identity() != one, "some hosts bind an upload to the account"
    process.user_dir.mkdir()
    (process.user_dir / "config.toml").write_text('connection = "sandbox"\n')
    assert process.connection_identity() == "sandbox"


def test_services_without_a_package_name_the_command_that_installs_it(
    process: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    text = r"^httpx is not installed\. .*-s -m pip install -r .*requirements\.txt"
    with pytest.raises(SettingsError, match=text) as no:
        asyncio.run(process.services())
    process.resume_unfinished()
    end = time.monotonic() + 30
    while str(no.value) not in caplog.text and time.monotonic() < end:
        time.sleep(0.01)
    assert [record.levelname for record in caplog.records if str(no.value) in record.message] == ["ERROR"]


def test_ledger_is_created_once_and_reports_changes(process: Process) -> None:
    changed: list[frozenset[int]] = []
    process.subscribe(changed.append, lambda task_id, progress: None)
    ledger = process.ledger()
    assert process.ledger() is ledger
    ledger.adopt(TaskRecord(service="s", connection="novita", base_url="https://api.example", task_id="task-1"))
    ledger.close()
    assert changed == [frozenset({1})]


_NEW = Submitted("11111111-aaaa", 0.5, reused=False, note="estimated $0.50 to $0.75")
_AGAIN = Submitted("22222222-bbbb", 0.0, reused=True, note="already submitted; on_repeat submit_again makes another")


@pytest.mark.parametrize(
    ("submitted", "text"),
    [
        ([_NEW, _NEW], "≈ $1.00 · fal\nestimated $0.50 to $0.75"),
        ([_AGAIN], "≈ $0.00 · fal · reused"),
        ([_NEW, _AGAIN], "≈ $0.50 · fal · 1 of 2 reused\nestimated $0.50 to $0.75"),
    ],
    ids=["new", "reused", "both"],
)
def test_paid_note_is_short(
    submitted: list[Submitted], text: str, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_KEY", "a-key-of-a-test-0123456789")

    async def note() -> str:
        return (await process.services()).paid_note(submitted)

    assert asyncio.run(note()) == text
    process.ledger().close()


def test_resume_unfinished_creates_no_ledger(process: Process) -> None:
    process.resume_unfinished()
    assert not process.user_dir.exists()


def test_resume_unfinished_deletes_the_images_of_a_crash(
    process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old = tmp_path / "wan27-temporary-old"
    old.mkdir()
    (old / "private.png").touch()
    os.utime(old, (1, 1))
    process.resume_unfinished()
    end = time.monotonic() + 30
    while old.exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not old.exists()


@pytest.mark.parametrize("name", list(HOSTS))
def test_one_key_is_enough_for_a_connection(name: str, process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    host = HOSTS[name]
    monkeypatch.setenv(host.key_variable, "sk-a-key-0123456789")
    connection = process.connection_for(process.settings())
    assert (connection.name, connection.base_url, connection.api_key) == (name, host.base_url, "sk-a-key-0123456789")
    assert (connection.upload_url, connection.list_url) == (host.upload_url, host.list_url)
    assert connection.prices == host.prices
    assert process.connection_identity() == f"{name} {host.base_url} {connection.account}"


def test_task_belongs_to_its_own_host_whichever_is_current(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_API_KEY", "sk-of-kie-0123456789")
    monkeypatch.setenv("FAL_KEY", "sk-of-fal-0123456789")
    assert process.connection_for(process.settings()).name == "fal"
    found = process.connection_named("kie", "https://API.kie.ai/")
    assert found is not None and (found.name, found.api_key) == ("kie", "sk-of-kie-0123456789")
    assert process.connection_named("kie", "https://relay.example") is None
    assert process.connection_named("novita", "https://api.novita.ai") is None
    assert process.connection_named("sandbox", "http://127.0.0.1:1") is None
    assert process.connection_named("elsewhere", "https://h.example") is None
    monkeypatch.setenv("WAN27_CONNECTION", "sandbox")
    found = process.connection_named("kie", "https://api.kie.ai")
    assert found is not None and found.api_key == "sk-of-kie-0123456789"


def test_settings_are_read_again_when_the_key_of_any_host_changes(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert process.settings().in_sandbox
    for host in HOSTS.values():
        monkeypatch.setenv(host.key_variable, "sk-a-key-0123456789")
        assert host.name in process.settings().keyed


def test_services_and_panel_load_nothing_heavy() -> None:
    """ComfyUI loads them whether the pack is used or not."""
    heavy = ("httpx", "av", "PIL", "torch", "obstore")
    program = f"import sys, nodes.services, nodes.panel.routes; print(*[m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("", "")
