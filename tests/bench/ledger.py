"""How long the panel and a claim wait for a ledger with many tasks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

from nodes.config import Budget
from nodes.ledger import Ledger, TaskFilter, TaskRecord
from nodes.ledger.records import INSERT_RECORD, to_row

from .settings import Settings, table

TASKS = 10_000
QUICK = 100
SERVICE = "novita https://api.novita.ai"
PLENTY = Budget(per_run_usd=1000, per_day_usd=1000)


def run(settings: Settings) -> None:
    """Print the milliseconds of each step that a user waits for."""
    tasks = QUICK if settings.quick else TASKS
    ledger = Ledger(settings.folder / "ledger.sqlite3")
    fill(ledger, tasks)
    rows = [[name, f"{_milliseconds(step, settings.runs):.1f}"] for name, step in _steps(ledger).items()]
    table(f"Ledger with {tasks} tasks, {ledger.database.path.stat().st_size / 2**20:.1f} MiB", ("step", "ms"), rows)
    ledger.close()


def fill(ledger: Ledger, tasks: int) -> None:
    """Add tasks of the last months: most are saved, some failed, a few are unknown."""
    now = ledger.now()
    with ledger.database.writing() as db:
        for number in range(tasks):
            began = now - (tasks - number) * 600.0
            state = {0: "failed", 1: "unknown"}.get(number % 50, "saved")
            request = {"prompt": f"shot {number}: " + "waves at the sea, " * 20, "resolution": "720P", "duration": 5}
            record = replace(
                _wanted(f"{number:064x}"),
                state=state,
                task_id=f"task-{number}",
                request=request,
                file=f"wan27/wan27_{number}.mp4",
                created_at=began,
                submitted_at=began,
                completed_at=began + 60 + number % 200,
                saved_at=began + 300,
            )
            db.execute(INSERT_RECORD, to_row(record))


def _steps(ledger: Ledger) -> dict[str, Callable[[], object]]:
    tasks = ledger.task_list
    return {
        "panel: first page": lambda: tasks.page(limit=50),
        "panel: running tasks": lambda: tasks.page(TaskFilter(states=("intent", "submitted", "succeeded")), limit=50),
        "panel: search": lambda: tasks.page(TaskFilter(text="no such words"), limit=50),
        "panel: totals": lambda: (ledger.spent(), tasks.page(limit=1).total),
        "claim of a batch of 20 that exists": lambda: _claim(ledger, [f"{number:064x}" for number in range(10, 30)]),
        "claim and withdrawal of a new task": lambda: _claim_new(ledger),
        "node's hint: known requests": ledger.known_requests,
        "time left: finished runs": lambda: ledger.finished_runs(SERVICE),
        "Wait: find a task": lambda: ledger.find("task-5000", SERVICE),
        "start: unfinished tasks": lambda: ledger.take_over_unfinished(86_400),
    }


def _wanted(fingerprint: str) -> TaskRecord:
    return TaskRecord(
        SERVICE, "novita", "https://api.novita.ai", fingerprint, f"file {fingerprint}", estimate=0.5, counted=True,
        run_id=f"run {fingerprint}", prompt_id="prompt", node_id="7",
    )  # fmt: skip


def _claim(ledger: Ledger, fingerprints: list[str]) -> None:
    wanted = [_wanted(fingerprint) for fingerprint in fingerprints]
    claimed = ledger.claim(wanted, reuse=[True] * len(wanted), budget=PLENTY)
    assert not any(is_new for _, is_new in claimed)


def _claim_new(ledger: Ledger) -> None:
    [(record, is_new)] = ledger.claim([_wanted("new")], reuse=[True], budget=PLENTY)
    assert is_new
    ledger.withdraw(record.id, "measured")


def _milliseconds(step: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        step()
        times.append((time.perf_counter() - began) * 1000)
    return median(times)
