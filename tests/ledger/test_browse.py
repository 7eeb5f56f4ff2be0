from __future__ import annotations

import json
from pathlib import Path

import pytest

from nodes.config.settings import Budget
from nodes.core.errors import BudgetError
from nodes.ledger.ledger import Ledger
from nodes.ledger.records import Claim


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite3")


def _claim(ledger: Ledger, prompt: str, *, estimate: float = 0.5) -> int:
    claim = Claim(
        prompt, prompt, True, "sandbox", "sandbox", "http://127.0.0.1:1", json.dumps({"prompt": prompt}), estimate,
        True, "run", "", "",
    )  # fmt: skip
    return ledger.claim([claim], Budget(100, 1))[0].row.id


def _submitted(ledger: Ledger, prompt: str) -> int:
    row_id = _claim(ledger, prompt, estimate=0.0)
    ledger.begin_post(row_id)
    ledger.record_task(row_id, f"task-{row_id}")
    return row_id


def test_pages_go_from_the_newest_to_the_oldest(ledger: Ledger) -> None:
    ids = [_submitted(ledger, f"number {n}") for n in range(7)]

    seen, before = [], None
    while True:
        page = ledger.browse.page(before=before, limit=3)
        assert page.total == 7
        seen.append([row.id for row in page.rows])
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

    assert {row.request["prompt"] for row in ledger.browse.page(text=text).rows} == found


def test_states_narrow_the_page(ledger: Ledger) -> None:
    running, failing = _submitted(ledger, "running"), _submitted(ledger, "failing")
    ledger.fail(failing, "no", billed=True)

    assert [row.id for row in ledger.browse.page(states=["failed"]).rows] == [failing]
    assert [row.id for row in ledger.browse.page(states=["submitted", "saved"]).rows] == [running]
    assert [row.id for row in ledger.browse.rows([running, 999])] == [running]


def test_a_listener_hears_of_what_was_committed_and_of_nothing_else(ledger: Ledger) -> None:
    first = _submitted(ledger, "before anybody listened")
    heard: list[set[int]] = []
    ledger.listen(lambda ids: heard.append(set(ids)))

    second = _submitted(ledger, "new")
    ledger.fail(first, "no", billed=True)
    with pytest.raises(BudgetError):
        _claim(ledger, "too much", estimate=2.0)
    ledger.close()
    ledger.fail(second, "after the file was opened again", billed=True)

    assert heard == [{second}, {second}, {second}, {first}, {second}]
