from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nodes.ledger import Ledger
from nodes.runner.output_files import finished
from tests.ledger.helpers import adopt


def test_finished_leaves_out_impossible_times(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    record = ledger.get(adopt(ledger))
    ledger.record_result(replace(record, result_url="https://x/v.mp4", executed_at=1.0, completed_at=1e22))
    times = finished(ledger.get(record.id), tmp_path).info["times"]
    assert (times["executed"], times["completed"]) == ("1970-01-01T00:00:01Z", None)
    ledger.close()
