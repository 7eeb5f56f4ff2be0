"""The tasks, requested, fetched and canceled over HTTP as the browser does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY

import pytest

from nodes.core.errors import DownloadError, RequestError
from tests.panel.conftest import SIGNED, Host


def test_tasks_are_paged_and_filtered(host: Host) -> None:
    for number in range(5):
        host.task(f"boat {number}")
    host.ledger.fail(2, "no", billed=True)

    first = host.get("/wan27/tasks?limit=2")
    second = host.get(f"/wan27/tasks?limit=2&before={first['before']}")

    assert [task["prompt"] for task in first["tasks"] + second["tasks"]] == ["boat 4", "boat 3", "boat 2", "boat 1"]
    assert first["total"] == 5
    assert [task["id"] for task in host.get("/wan27/tasks?group=failed")["tasks"]] == [2]
    assert [task["prompt"] for task in host.get("/wan27/tasks?text=boat+3")["tasks"]] == ["boat 3"]


@pytest.mark.parametrize(
    "query",
    [
        "group=everything",
        "host=elsewhere",
        "day=today",
        "day=2026-13-01",
        "limit=many",
        "before=-1",
        "before=1%20OR%201",
        "limit=9999999999999999",
        "ids=",
        "ids=1,two",
        f"ids={','.join(map(str, range(201)))}",
    ],
)
def test_tasks_refuse_an_invalid_query(query: str, host: Host) -> None:
    assert host.ask("GET", f"/wan27/tasks?{query}").status_code == 400


def test_task_ids_are_filtered_by_host_and_day_with_totals(host: Host) -> None:
    billed, free = host.task("billed", estimate=0.75), host.task("free", connection="sandbox")
    day = host.get(f"/wan27/tasks/{billed}")["day"]
    totals = [
        {"connection": "novita", "host": "Novita AI", "tasks": 1, "estimated_usd": 0.75},
        {"connection": "sandbox", "host": "sandbox", "tasks": 1, "estimated_usd": 0.0},
    ]

    assert host.get("/wan27/task_ids") == {"ids": [free, billed], "totals": []}
    assert host.get(f"/wan27/task_ids?day={day}&host=novita") == {"ids": [billed], "totals": totals}
    assert host.get("/wan27/task_ids?day=2020-02-29") == {"ids": [], "totals": []}
    assert host.get("/wan27/status")["totals_today"] == totals
    assert [task["id"] for task in host.get(f"/wan27/tasks?ids={billed},999,{free}")["tasks"]] == [free, billed]
    for query in ("group=everything", "host=elsewhere", "day=2026-02-30", "day=0202-11-26"):
        assert host.ask("GET", f"/wan27/task_ids?{query}").status_code == 400


def test_task_tells_its_host_and_what_can_be_canceled(host: Host) -> None:
    ids = [host.task(name, connection=name) for name in ("fal", "replicate", "novita", "a former host")]
    ids.append(host.saved("a boat"))

    tasks = [host.get(f"/wan27/tasks/{record_id}") for record_id in ids]

    assert [task["host"] for task in tasks] == ["fal", "Replicate", "Novita AI", "a former host", "Novita AI"]
    assert [task["cancels"] for task in tasks] == ["queued", "running", "", "", ""]


def test_task_alone_has_all_its_inputs_but_no_url(host: Host) -> None:
    prompt = "a long prompt " * 50
    record_id = host.task(prompt)
    with host.ledger.database.writing() as db:
        db.execute("UPDATE tasks SET request = json_set(request, '$.image_url', ?)", (SIGNED,))

    task = host.get(f"/wan27/tasks/{record_id}")

    assert len(task["prompt"]) == 400
    assert task["inputs"] == {"prompt": prompt, "duration": 5, "resolution": "720P", "image_url": ANY}
    assert len(task["inputs"]["image_url"]) == 12
    assert "inputs" not in host.get("/wan27/tasks")["tasks"][0]


def test_workflow_of_a_task_is_the_one_of_its_prompt(host: Host) -> None:
    record_id = host.task("a boat")
    assert host.ask("GET", f"/wan27/tasks/{record_id}/workflow").status_code == 404
    assert host.get(f"/wan27/tasks/{record_id}")["has_workflow"] is False

    host.ledger.workflows.keep("prompt", {"nodes": [], "version": 0.4})

    assert host.get(f"/wan27/tasks/{record_id}/workflow") == {"workflow": {"nodes": [], "version": 0.4}}
    assert host.get(f"/wan27/tasks/{record_id}")["has_workflow"] is True
    assert host.ask("GET", "/wan27/tasks/999/workflow").status_code == 404
    other_site = {"Sec-Fetch-Site": "cross-site"}
    assert host.ask("GET", f"/wan27/tasks/{record_id}/workflow", headers=other_site).status_code == 403


def test_task_with_a_deleted_video_is_missing(host: Host) -> None:
    record_id = host.saved("gone")
    (host.output / "wan27" / "a.mp4").unlink()

    task = host.get(f"/wan27/tasks/{record_id}")

    assert (task["state"], task["group"], task["file"], task["poster"]) == ("missing", "saved", None, None)
    assert host.ask("GET", f"/wan27/posters/{record_id}").status_code == 404


@pytest.fixture
def fetching(host: Host, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The task ids that the runner was asked to wait for; task-2 cannot be fetched."""
    asked: list[Any] = []

    async def wait(task_id: str, **_: Any) -> None:
        asked.append(task_id)
        if task_id == "task-2":
            raise DownloadError(f"The video is gone from {SIGNED}.")

    async def get_services() -> Any:
        return SimpleNamespace(runner=SimpleNamespace(wait=wait), connection=object())

    monkeypatch.setattr(host.process, "services", get_services)
    return asked


def test_fetch_starts_or_says_why_not(host: Host, fetching: list[Any]) -> None:
    host.task("there")
    host.task("gone")

    good, bad, none = (host.write("POST", f"/wan27/tasks/{n}/fetch") for n in (1, 2, 3))

    assert good.status_code == 202
    assert bad.status_code == 409
    assert bad.json()["error"] == "The video is gone from https://bucket.example/…"
    assert none.status_code == 409
    assert fetching == ["task-1", "task-2"]


def test_cancel_asks_the_host_of_the_task_or_says_why_not(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def cancel(record: Any, *, connection: Any) -> None:
        asked.append(f"{record.task_id} at {connection.name}")
        if len(asked) == 2:
            raise RequestError("it is too late")

    async def get_services() -> Any:
        return SimpleNamespace(runner=SimpleNamespace(cancel=cancel))

    monkeypatch.setattr(host.process, "services", get_services)
    monkeypatch.setattr(
        host.process, "connection_named", lambda name, base_url: SimpleNamespace(name=name) if len(asked) < 2 else None
    )
    running, done = host.task("runs"), host.saved("done")

    good, late, no_key, ended = (
        host.write("POST", f"/wan27/tasks/{record_id}/cancel") for record_id in (running, running, running, done)
    )

    assert (good.status_code, good.json()) == (202, {"canceled": True})
    assert (late.status_code, late.json()["error"]) == (409, "it is too late")
    assert (no_key.status_code, ended.status_code) == (409, 409)
    assert len(asked) == 2
