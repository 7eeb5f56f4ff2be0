from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from nodes.core.errors import LedgerError
from nodes.core.file_lock import locked
from nodes.ledger import Ledger, recovery_log
from nodes.ledger.recovery_log import RecoveryLog
from tests.ledger.helpers import claimed
from tests.systems import refuse_opening

REPO = Path(__file__).resolve().parents[2]


def test_recovery_log_keeps_a_task_id_beside_a_locked_ledger(path: Path) -> None:
    ledger = Ledger(path, busy_seconds=0.05)
    [mine] = claimed(ledger)
    ledger.begin_post(mine.record.id)
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        ledger.record_task(mine.record.id, "paid-for", {"status_url": "https://h.example/status"})
        holder.execute("ROLLBACK")
    ledger.close()  # and ComfyUI ends, before anything else happened
    later = Ledger(path)
    [found] = claimed(later)
    assert (found.is_new, found.record.state, found.record.task_id) == (False, "submitted", "paid-for")
    assert later.get(found.record.id).handle == {"status_url": "https://h.example/status"}
    later.close()


def test_recovery_log_that_cannot_be_written_is_an_error_with_the_task_id(path: Path) -> None:
    ledger = Ledger(path, busy_seconds=0.05)
    [mine] = claimed(ledger)
    ledger.begin_post(mine.record.id)
    path.with_name("ledger-rescue.jsonl").mkdir()
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerError, match=r"paid-for.*paste it into"):
            ledger.record_task(mine.record.id, "paid-for")
    ledger.close()


def test_recovery_log_keeps_every_line_of_several_processes(tmp_path: Path) -> None:
    """Windows finds the end of a file and writes in two steps."""
    code = (
        "import sys; from pathlib import Path; from nodes.ledger.recovery_log import RecoveryLog\n"
        "log = RecoveryLog(Path(sys.argv[1]))\n"
        "for number in range(100): log.append(number, sys.argv[2] * 50, {}, 1.5)"
    )
    path = tmp_path / "rescue.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), name], cwd=REPO) for name in "abc"]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    expected = [(number, name * 50, {}, 1.5) for number in range(100) for name in "abc"]
    assert sorted(RecoveryLog(path).replay(), key=lambda line: line[:2]) == expected


def test_recovery_log_is_written_without_the_lock_if_another_process_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery_log, "LOCK_SECONDS", 0.05)
    with locked(tmp_path / "rescue.lock"):
        RecoveryLog(tmp_path / "rescue.jsonl").append(7, "paid-for", {}, 1.5)
    assert list(RecoveryLog(tmp_path / "rescue.jsonl").replay()) == [(7, "paid-for", {}, 1.5)]


def test_recovery_log_loses_only_the_line_that_was_cut(tmp_path: Path) -> None:
    """A full disk or a power loss ends an append anywhere; the next task id must not be glued to the rest."""
    path = tmp_path / "rescue.jsonl"
    log = RecoveryLog(path)
    log.append(1, "before", {}, 1.5)
    first = path.stat().st_size
    log.append(2, "cut", {}, 1.5)
    both = path.read_bytes()
    for length in range(first, both.rindex(b"}") + 1):
        path.write_bytes(both[:length])
        log.append(3, "after", {}, 1.5)
        assert [task_id for _, task_id, *_ in log.replay()] == ["before", "after"]


@pytest.mark.parametrize(
    "damage",
    [
        b'{"row": 1, "task_id": "caf\xe9", "at": 1.5\n',
        '\ufeff{"row": 1, "task_id": "t", "handle": {}, "at": 1.5}\r\n'.encode("utf-16-le"),
        b"\xff\xfe\x00\xd8",
        b'[1]\n7\nnull\n"text"\n{}\n',
        b"\x00" * 4096,
        b'{"row": 1e999, "task_id": "t", "at": 1}\n{"row": 9223372036854775808, "task_id": "t", "at": 1}\n',
    ],
    ids=["ANSI", "UTF-16", "bytes", "other JSON", "zeros", "numbers"],
)
def test_recovery_log_with_damage_still_gives_its_good_lines(damage: bytes, path: Path) -> None:
    ledger = Ledger(path)
    [mine] = claimed(ledger)
    ledger.begin_post(mine.record.id)
    file = path.with_name("ledger-rescue.jsonl")
    file.write_bytes(damage)
    RecoveryLog(file).append(mine.record.id, "paid-for", {}, ledger.now() + 1)
    [found] = claimed(ledger)
    assert (found.is_new, found.record.task_id) == (False, "paid-for")
    ledger.close()


def test_recovery_log_waits_for_a_program_that_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rescue.jsonl"
    left = refuse_opening(path, monkeypatch)
    RecoveryLog(path).append(7, "paid-for", {}, 1.5)
    assert left == []
    left = refuse_opening(path, monkeypatch)
    assert list(RecoveryLog(path).replay()) == [(7, "paid-for", {}, 1.5)]
    assert left == []


def test_recovery_log_of_an_earlier_version_is_read(path: Path) -> None:
    ledger = Ledger(path)
    [mine] = claimed(ledger)
    ledger.begin_post(mine.record.id)
    line = f'{{"row": {mine.record.id}, "task_id": "paid-for", "at": {ledger.now() + 1}}}\n'
    path.with_name("ledger-rescue.jsonl").write_text(line + "not JSON\n", encoding="utf-8")
    ledger.recover()
    found = ledger.get(mine.record.id)
    assert (found.task_id, dict(found.handle)) == ("paid-for", {})
    ledger.close()
