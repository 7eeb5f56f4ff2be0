"""What a row of the task list says and offers, which tasks a filter lets through, and the parts of a long list."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from nodes.comfy.wait_status import TaskStatus
from nodes.core import limits
from nodes.ledger import Ledger, TaskFilter
from nodes.ledger.records import TaskRecord
from nodes.panel.views import GROUPS, task_view
from nodes.runner.models import Progress
from tests.web.conftest import JavaScript

NOW = 1_800_000_000
TASK: dict[str, Any] = {
    "id": 7, "task_id": "t-7", "state": "saved", "group": "saved", "removed": False, "prompt": "A paper boat",
    "resolution": "720P", "duration": 5, "seconds": 5.04, "sandbox": False, "connection": "fal", "host": "fal",
    "day": "2027-01-15", "estimated_cost": 0.5, "continues_clip": False, "cancels": "", "began_at": NOW - 120,
    "prompt_id": "p", "has_workflow": True, "ended_at": NOW - 20, "file": {"filename": "wan27_boat.mp4"},
}  # fmt: skip
RUNNING = TASK | {"state": "submitted", "group": "running", "seconds": None, "file": None, "ended_at": None}
QUEUED = {
    "can_cancel": True,
    "state": "queued",
    "seconds": 10,
    "percent": None,
    "eta_seconds": None,
    "usual_seconds": [200, 280],
}


def test_facts_of_a_task_are_its_length_host_and_estimate(js: JavaScript) -> None:
    tasks = [TASK, TASK | {"continues_clip": True}, TASK | {"sandbox": True}, TASK | {"estimated_cost": None}]
    facts = js(
        "task_facts", "({ factsOf }, tasks, now) => tasks.map(task => factsOf(task, null, now))", tasks, NOW * 1000
    )
    assert facts == [
        ["5 s", "720P", "fal", "≈ $0.50", "2 min ago"],
        ["5 s", "720P", "fal", "up to ≈ $0.50", "2 min ago"],
        ["5 s", "720P", "SANDBOX", "2 min ago"],
        ["5 s", "720P", "fal", "2 min ago"],
    ]


def test_facts_of_a_running_task_count_down_between_two_reports(js: JavaScript) -> None:
    progress = QUEUED | {"at": NOW * 1000}
    body = "({ factsOf }, task, progress, times) => times.map(now => factsOf(task, progress, now).slice(0, 2))"
    times = [(NOW + after) * 1000 for after in (0, 70, 150, 260, 300)]
    assert js("task_facts", body, RUNNING, progress, times) == [
        ["10 s", "about 3 min left"],
        ["80 s", "about 2 min left"],
        ["160 s", "about 60 s left"],
        ["270 s", "about 5 s left"],
        ["310 s", "longer than expected"],
    ]


PROGRESSES = [
    Progress("queued", 10.0, usual_seconds=(200.0, 280.0)),
    Progress("processing", 10.0, eta_seconds=30.0, usual_seconds=(200.0, 280.0)),
    Progress("processing", 101.0, usual_seconds=(60.0, 400.0)),
    Progress("waiting", 4000.0, usual_seconds=(60.0, 400.0)),
    Progress("downloading", 10.0, eta_seconds=30.0, usual_seconds=(200.0, 280.0)),
    Progress("processing", 10.0),
]


def test_time_left_is_the_same_in_the_tab_and_on_the_node(js: JavaScript) -> None:
    body = """({ secondsLeft, leftText }, all) => all
        .map(([progress, since]) => secondsLeft(progress, since))
        .map(seconds => seconds === null ? null : leftText(seconds))"""
    moments = [(progress, since) for progress in PROGRESSES for since in (0, 25.5, 120, 1000)]
    shown = js("time_left", body, [[vars(progress), since] for progress, since in moments])

    for text, (progress, since) in zip(shown, moments, strict=True):
        status = TaskStatus("t", progress, clock=lambda since=since: since)
        left = next((part for part in status.text.split(", ") if "left" in part or "longer" in part), None)
        assert text == left, (progress, since)


@pytest.mark.parametrize(
    ("task", "situation", "actions"),
    [
        (TASK, {"mayWrite": True}, ["download", "compare", "toCanvas", "openWorkflow", "copy", "remove"]),
        (TASK, {"mayWrite": False}, ["download", "compare", "toCanvas", "openWorkflow", "copy"]),
        (
            TASK | {"removed": True, "file": None, "has_workflow": False},
            {"mayWrite": True},
            ["toCanvas", "copy", "restore"],
        ),
        (
            TASK | {"state": "missing", "file": None},
            {"mayWrite": True, "onCanvas": True},
            ["fetchAgain", "toCanvas", "showNode", "openWorkflow", "copy", "remove"],
        ),
        (
            RUNNING,
            {"mayWrite": True, "progress": QUEUED},
            ["cancel", "fetchAgain", "toCanvas", "openWorkflow", "copy"],
        ),
        (RUNNING, {"mayWrite": False, "progress": QUEUED}, ["toCanvas", "openWorkflow", "copy"]),
        (
            RUNNING,
            {"mayWrite": True, "progress": QUEUED | {"can_cancel": False}},
            ["fetchAgain", "toCanvas", "openWorkflow", "copy"],
        ),
        (
            RUNNING | {"began_at": NOW - limits.TASK_QUERY_HOURS * 3600 - 1},
            {"mayWrite": True, "progress": None},
            ["fetchAgain", "toCanvas", "openWorkflow", "copy", "remove"],
        ),
        (
            TASK | {"task_id": None, "state": "unknown", "file": None, "has_workflow": False},
            {"mayWrite": True},
            ["remove"],
        ),
    ],
    ids=[
        "done",
        "elsewhere",
        "removed",
        "file deleted",
        "queued",
        "queued elsewhere",
        "not to be canceled",
        "forgotten by its host",
        "lost",
    ],
)
def test_actions_are_those_that_make_sense(
    task: dict[str, Any], situation: dict[str, Any], actions: list[str], js: JavaScript
) -> None:
    now = {"now": NOW * 1000}
    offered = js("task_facts", "({ actionsOf }, task, situation) => actionsOf(task, situation)", task, situation | now)
    assert offered == actions


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"ended_at": NOW - 3600}, False),
        ({"removed": True}, False),
        ({"state": "failed", "ended_at": None}, True),
        ({"state": "failed", "ended_at": None, "removed": True}, False),
        ({"state": "failed", "ended_at": None, "began_at": NOW - 2 * 86400}, False),
        ({"state": "missing"}, False),
        ({"state": "submitted", "ended_at": None}, False),
    ],
    ids=["saved", "put back", "removed", "failed", "failed and removed", "failed and put back", "file gone", "running"],
)
def test_task_has_just_ended_only_once(change: dict[str, Any], expected: bool, js: JavaScript) -> None:
    body = "({ hasJustEnded }, task, now) => hasJustEnded(task, now)"
    assert js("task_facts", body, TASK | change, NOW * 1000) is expected


def test_removal_says_what_becomes_of_the_file_and_of_the_money(js: JavaScript) -> None:
    body = "({ removalTexts }, task) => [removalTexts(task, false), removalTexts(task, true)]"
    kept, deleted = js("remove_dialog", body, TASK)
    assert "The video file stays." in kept["meaning"] and kept["warning"] == ""
    assert "stays" not in deleted["meaning"] and "paid for (≈ $0.50)." in deleted["warning"]
    _, unknown = js("remove_dialog", body, TASK | {"estimated_cost": None})
    assert "This video was paid for." in unknown["warning"] and "$" not in unknown["warning"]
    _, free = js("remove_dialog", body, TASK | {"sandbox": True})
    assert "paid" not in free["warning"]


def test_totals_of_a_day_are_one_line(js: JavaScript) -> None:
    totals = [
        {"connection": "fal", "host": "fal", "tasks": 3, "estimated_usd": 1.2},
        {"connection": "sandbox", "host": "sandbox", "tasks": 2, "estimated_usd": 0},
    ]
    body = "({ totalsLine }, totals) => [totalsLine(totals), totalsLine([]), totalsLine(undefined)]"
    assert js("task_facts", body, totals) == ["fal ≈ $1.20 (3) · SANDBOX free (2)", "", ""]


def test_filter_lets_through_what_the_server_does(tmp_path: Path, js: JavaScript) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    for number, (state, host, hidden) in enumerate(
        product(("submitted", "saved", "failed", "unknown"), ("fal", "kie"), (False, True))
    ):
        made = ledger.adopt(TaskRecord(service=host, connection=host, base_url="", state=state, task_id=f"t-{number}"))
        if hidden:
            with ledger.database.writing() as db:
                db.execute("UPDATE tasks SET hidden = 1, created_at = created_at - 86400 WHERE id = ?", (made.id,))
    rows = ledger.task_list.records(list(range(1, 17)))
    views = [task_view(row, None, output_dir=tmp_path) for row in rows]
    days = ["", *sorted({view["day"] for view in views})]
    filters = [dict(zip(("group", "host", "day"), each, strict=True)) for each in product(GROUPS, ("", "fal"), days)]

    body = """({ fits }, tasks, filters) =>
        filters.map(filter => tasks.filter(task => fits(task, filter)).map(({ id }) => id))"""
    shown = js("task_filter", body, views, filters)

    for chosen, found in zip(filters, shown, strict=True):
        group, host, day = chosen.values()
        assert sorted(found) == sorted(
            ledger.task_list.ids(TaskFilter(GROUPS[group], "", host, day, hidden=group == "removed"))
        ), chosen
    ledger.close()
    assert any(shown) and len(rows) == 16 and len(days) == 3


CHECKED = """({ IdChunks }, ids, changes) => {
    const list = new IdChunks(ids);
    for (const [change, id] of changes) list[change](id);
    return {
        ids: list.chunks.flatMap(chunk => chunk.ids),
        sizes: list.chunks.map(chunk => chunk.ids.length),
        starts: list.chunks.map(chunk => list.startOf(chunk)),
        size: list.size,
    };
}"""
CHANGED = """({ IdChunks }, ids, others) => {
    const list = new IdChunks(ids);
    const { gone, added } = list.changesTo(others);
    for (const id of gone) list.remove(id);
    for (const id of added) list.insert(id);
    return { ids: list.chunks.flatMap(chunk => chunk.ids), changes: gone.length + added.length };
}"""


@pytest.mark.parametrize(
    ("ids", "changes"),
    [
        (range(45, 0, -1), []),
        (range(45, 0, -1), [("insert", 46), ("insert", 47), ("remove", 46)]),
        (range(90, 0, -2), [("insert", 1), ("insert", 47), ("insert", 89), ("remove", 90), ("remove", 2)]),
        ([], [("insert", 5), ("insert", 3), ("insert", 9)]),
        ([4], [("remove", 4)]),
        (range(3, 0, -1), [("insert", each) for each in range(4, 60)]),
    ],
    ids=["unchanged", "new ones", "between", "first ones", "last one", "many new ones"],
)
def test_chunks_stay_in_order(ids: Any, changes: list[tuple[str, int]], js: JavaScript) -> None:
    expected = set(ids)
    for change, each in changes:
        (expected.add if change == "insert" else expected.discard)(each)

    found = js("id_chunks", CHECKED, list(ids), changes)

    assert found["ids"] == sorted(expected, reverse=True)
    assert found["size"] == len(expected)
    assert found["starts"] == [sum(found["sizes"][:index]) for index in range(len(found["sizes"]))]
    assert 0 not in found["sizes"] and max(found["sizes"], default=0) <= 25


def test_chunks_find_the_few_changes_to_other_ids(js: JavaScript) -> None:
    before, after = [*range(90, 0, -2)], [97, 91, *range(90, 4, -2), 3, 2]
    assert js("id_chunks", CHANGED, before, after) == {"ids": after, "changes": 4}
    assert js("id_chunks", CHANGED, before, before) == {"ids": before, "changes": 0}
    assert js("id_chunks", CHANGED, before, []) == {"ids": [], "changes": 45}


def test_differences_are_those_that_a_user_would_notice(js: JavaScript) -> None:
    inputs = {"prompt": "A boat", "seed": 1, "prompt_extend": True, "image_url": "aabbccddeeff"}
    first = TASK | {"seed": 1, "inputs": inputs, "size": [1280, 720]}
    second = first | {
        "seed": 2,
        "inputs": inputs | {"prompt_extend": False, "image_url": "001122334455"},
        "host": "Kie",
    }

    body = "({ differences }, first, second) => [differences(first, second), differences(first, first)]"
    differing, same = js("differences", body, first, second)

    assert differing == [
        ["Seed", "1", "2"],
        ["Prompt extend", "yes", "no"],
        ["First frame", "#aabbcc", "#001122"],
        ["Host", "fal", "Kie"],
    ]
    assert same == []
