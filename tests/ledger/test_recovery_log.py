from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from nodes.core.errors import LedgerError
from nodes.ledger import Ledger
from tests.ledger.helpers import claimed


def test_recovery_log_keeps_a_task_id_beside_a_locked_ledger(path: Path) -> None:
    ledger = Ledger(path, busy_seconds=0.05)
    [mine] = claimed(ledger)
    ledger.begin_post(mine.record.id)
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        ledger.record_task(mine.record.id, "paid-for")
        holder.execute("ROLLBACK")
    ledger.close()  # and ComfyUI ends, before anything else happened
    later = Ledger(path)
    [found] = claimed(later)
    assert (found.is_new, found.record.state, found.record.task_id) == (False, "submitted", "paid-for")
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
