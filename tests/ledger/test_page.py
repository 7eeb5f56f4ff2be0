from __future__ import annotations

from pathlib import Path

import pytest

from nodes.config.settings import Budget
from nodes.core.errors import BudgetError
from nodes.ledger import Ledger, TaskRecord


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite3")


def _claim(ledger: Ledger, prompt: str, *, estimate: float = 0.5) -> int:
    wanted = TaskRecord(
        "sandbox", "sandbox", "http://127.0.0.1:1", prompt, prompt, request={"prompt": prompt}, estimate=estimate,
        counted=True,
    )  # fmt: skip
    [(record, _)] = ledger.claim([wanted], reuse=[True], budget=Budget(100, 1))
    return record.id


def _submitted(ledger: Ledger, prompt: str) -> int:
    row_id = _claim(ledger, prompt, estimate=0.0)
    ledger.begin_post(row_id)
    ledger.record_task(row_id, f"task-{row_id}")
    return row_id


def test_pages_go_from_the_newest_to_the_oldest(ledger: Ledger) -> None:
    ids = [_submitted(ledger, f"number {n}") for n in range(7)]

    seen, before = [], None
    while True:
        page = ledger.page(before=before, limit=3)
        assert page.total == 7
        seen.append([row.id for row in page.records])
        before = page.before
        if before is None:
            break

    assert seen == [[ids[6], ids[5], ids[4]], [ids[3], ids[2], ids[1]], [ids[0]]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {"A lake", "100% snow_white", "一只猫", "failing"}),
        ("LAKE", {"A lake"}),
        ("%", {"100% snow_white"}),
        ("_", {"100% snow_white"}),
        ("猫", {"一只猫"}),
        ("task-1", {"A lake"}),
        ("'; DROP TABLE tasks; --", set()),
    ],
)
def test_text_is_looked_for_as_it_is(ledger: Ledger, text: str, found: set[str]) -> None:
    for prompt in ("A lake", "100% snow_white", "一只猫", "failing"):
        _submitted(ledger, prompt)

    assert {row.request["prompt"] for row in ledger.page(text=text).records} == found


def test_states_narrow_the_page(ledger: Ledger) -> None:
    running, failing = _submitted(ledger, "running"), _submitted(ledger, "failing")
    ledger.fail(failing, "no", billed=True)

    assert [row.id for row in ledger.page(states=["failed"]).records] == [failing]
    assert [row.id for row in ledger.page(states=["submitted", "saved"]).records] == [running]
    assert [row.id for row in ledger.records([running, 999])] == [running]


def test_on_change_gets_what_was_committed_and_nothing_else(ledger: Ledger) -> None:
    first = _submitted(ledger, "in another process")
    changes: list[set[int]] = []
    watched = Ledger(ledger.database.path, on_change=lambda ids: changes.append(set(ids)))

    second = _submitted(watched, "new")
    watched.fail(first, "no", billed=True)
    with pytest.raises(BudgetError):
        _claim(watched, "too much", estimate=2.0)
    watched.close()
    watched.fail(second, "after the file was opened again", billed=True)

    assert changes == [{second}, {second}, {second}, {first}, {second}]
