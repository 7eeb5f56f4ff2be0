"""Records as the runner asks the ledger for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from nodes.config import Budget
from nodes.ledger import Ledger, TaskRecord


def wanted(fingerprint: str = "f", **values: Any) -> TaskRecord:
    made = TaskRecord(
        "novita https://x", "novita", "https://x", fingerprint, f"file {fingerprint}", estimate=1.0, counted=True,
        run_id="run", prompt_id="prompt", node_id="node",
    )  # fmt: skip
    return replace(made, **values)


class Claimed(NamedTuple):
    record: TaskRecord
    is_new: bool


def claimed(ledger: Ledger, *records: TaskRecord, reuse: bool = True, budget: Budget | None = None) -> list[Claimed]:
    records = records or (wanted(),)
    return [Claimed(*one) for one in ledger.claim(records, reuse=[reuse] * len(records), budget=budget)]


def adopt(ledger: Ledger, task_id: str = "t") -> int:
    task = TaskRecord("novita https://x", "novita", "https://x", state="submitted", task_id=task_id, submitted_at=1.0)
    return ledger.adopt(task).id


def submitted(ledger: Ledger, prompt: str) -> int:
    """The id of the record of a task that the service has accepted."""
    [(record, _)] = claimed(ledger, wanted(prompt, request={"prompt": prompt}))
    ledger.begin_post(record.id)
    ledger.record_task(record.id, f"task-{record.id}")
    return record.id
