"""The list of tasks: filters, pages and totals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nodes.ledger import Ledger, TaskFilter
from nodes.ledger.budget import day_of
from tests.ledger.helpers import adopt, claimed, submitted, wanted


def test_page_goes_from_the_newest_to_the_oldest(ledger: Ledger) -> None:
    ids = [submitted(ledger, f"number {n}") for n in range(7)]

    seen, before = [], None
    while True:
        page = ledger.task_list.page(before=before, limit=3)
        assert page.total == 7
        seen.append([record.id for record in page.records])
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
def test_page_searches_for_literal_text(ledger: Ledger, text: str, found: set[str]) -> None:
    for prompt in ("A lake", "100% snow_white", "一只猫", "failing"):
        submitted(ledger, prompt)

    assert {record.request["prompt"] for record in ledger.task_list.page(TaskFilter(text=text)).records} == found


def test_page_can_be_limited_to_states(ledger: Ledger) -> None:
    running, failing = submitted(ledger, "running"), submitted(ledger, "failing")
    ledger.fail(failing, "no", billed=True)

    for states, found in ((["failed"], failing), (["submitted", "saved"], running)):
        assert [record.id for record in ledger.task_list.page(TaskFilter(states=states)).records] == [found]


def test_records_are_those_that_exist_from_the_newest_to_the_oldest(ledger: Ledger) -> None:
    first, second = submitted(ledger, "first"), submitted(ledger, "second")

    assert [record.id for record in ledger.task_list.records([first, 999, second])] == [second, first]


def test_ids_can_be_limited_to_a_host_and_a_day_which_has_totals(path: Path) -> None:
    now = [1_800_000_000.0]
    ledger = Ledger(path, clock=lambda: now[0])
    day = day_of(now[0])
    first = submitted(ledger, "yesterday")
    now[0] += 86_400
    second, third, hidden = (submitted(ledger, f"number {n}") for n in range(3))
    [(free, _)] = claimed(ledger, wanted("free", connection="sandbox", counted=False))
    ledger.fail(third, "canceled", billed=False)
    ledger.fail(hidden, "refused", billed=True)
    ledger.hide(hidden)
    [(never_sent, _)] = claimed(ledger, wanted("withdrawn", connection="fal"))
    ledger.withdraw(never_sent.id, "the run was stopped")
    adopt(ledger, "pasted")

    tasks = ledger.task_list
    assert tasks.counts() == (6, 7)
    assert tasks.ids(TaskFilter(day=day)) == [first]
    assert tasks.ids(TaskFilter(day=day_of(now[0]), connection="novita")) == [never_sent.id + 1, third, second]
    assert tasks.ids(TaskFilter(connection="sandbox")) == [free.id]
    assert tasks.host_totals(day) == [("novita", 1, 1.0)]
    assert tasks.host_totals(day_of(now[0])) == [("novita", 4, 2.0), ("sandbox", 1, 0.0)]
    ledger.close()


@pytest.mark.parametrize(
    "wanted_tasks",
    [
        TaskFilter(),
        TaskFilter(hidden=True),
        TaskFilter(("failed", "unknown"), connection="novita"),
        TaskFilter(day="2026-11-26"),
    ],
    ids=["all", "removed", "failed", "day"],
)
def test_list_and_totals_are_read_from_an_index(wanted_tasks: TaskFilter, ledger: Ledger) -> None:
    def looked_at(read: Callable[[], object]) -> list[str]:
        run: list[str] = []
        with ledger.database.reading() as db:
            db.set_trace_callback(run.append)
            read()
            db.set_trace_callback(None)
            return [
                row["detail"] for sql in run for row in db.execute(f"EXPLAIN QUERY PLAN {sql}") if " tasks" in row[3]
            ]

    tasks = ledger.task_list
    for read in (lambda: tasks.ids(wanted_tasks), tasks.counts, lambda: tasks.host_totals("2026-11-26")):
        assert all("COVERING INDEX" in step for step in looked_at(read)) and looked_at(read)
