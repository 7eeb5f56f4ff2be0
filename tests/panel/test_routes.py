"""The routes under /wan27/, requested over HTTP as the browser does."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY

import pytest

from nodes.core.errors import DownloadError, RequestError
from nodes.ledger import BalanceReading
from nodes.runner.models import service_of
from tests.panel.conftest import KEY, SIGNED, Host
from tests.service import Service, at


def test_status_of_a_new_installation_is_the_sandbox(host: Host) -> None:
    status = host.get("/wan27/status")

    assert status["problem"] is None
    assert status["connection"]["sandbox"]
    assert status["key"] == {
        "host": "Novita AI",
        "present": False,
        "source": None,
        "variable": "NOVITA_API_KEY",
        "last4": None,
        "can_change": True,
    }
    assert status["prices"] == {"720P": 0.1, "1080P": 0.15}
    assert status["budget"] == {"per_run_usd": 10.0, "per_day_usd": 50.0}
    assert status["limits"]["prompt_chars"] == 5000


def test_status_counts_what_was_spent_today(host: Host) -> None:
    host.task("billed", estimate=0.75)
    host.task("free", connection="sandbox", estimate=9.0)

    status = host.get("/wan27/status")

    assert status["spent_today_usd"] == 0.75
    assert status["tasks"] == 2


def test_status_names_a_problem_in_the_settings_without_their_path(host: Host) -> None:
    (host.user / "config.toml").write_text('connection = "elsewhere"\n')

    status = host.get("/wan27/status")

    assert "elsewhere" in status["problem"]
    assert str(host.user) not in status["problem"]
    assert "config.toml" in status["problem"]
    assert status["limits"]["prompt_chars"] == 5000


def test_status_and_check_name_a_missing_package_without_a_path(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    text = "av is not installed. Install the pack's requirements.txt with ComfyUI's Python and restart."

    assert host.get("/wan27/status")["problem"] == text
    assert host.write("POST", "/wan27/check", {"part": "key"}).json()["text"] == text
    assert host.write("PUT", "/wan27/settings", {"set": {"storage.kind": "inline"}}).json()["error"] == text


def test_examples_are_the_workflows_of_the_pack_and_nothing_else(host: Host) -> None:
    folder = Path(__file__).resolve().parents[2] / "example_workflows"
    for path in folder.glob("*.json"):
        assert host.get(f"/wan27/examples/{path.stem}") == json.loads(path.read_text(encoding="utf-8"))
    for name in ("none", "first_and_last_frame.jpg", "..%2Flocales%2Fzh%2Fmain", "*", "%2Fetc%2Fhosts"):
        assert host.ask("GET", f"/wan27/examples/{name}").status_code == 404


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
    rows = [host.task(name, connection=name) for name in ("fal", "replicate", "novita", "a former host")]
    rows.append(host.saved("a boat"))

    tasks = [host.get(f"/wan27/tasks/{row}") for row in rows]

    assert [task["host"] for task in tasks] == ["fal", "Replicate", "Novita AI", "a former host", "Novita AI"]
    assert [task["cancels"] for task in tasks] == ["queued", "running", "", "", ""]


def test_task_alone_has_all_its_inputs_but_no_url(host: Host) -> None:
    prompt = "a long prompt " * 50
    row = host.task(prompt)
    with host.ledger.database.writing() as db:
        db.execute("UPDATE tasks SET request = json_set(request, '$.image_url', ?)", (SIGNED,))

    task = host.get(f"/wan27/tasks/{row}")

    assert len(task["prompt"]) == 400
    assert task["inputs"] == {"prompt": prompt, "duration": 5, "resolution": "720P", "image_url": ANY}
    assert len(task["inputs"]["image_url"]) == 12
    assert "inputs" not in host.get("/wan27/tasks")["tasks"][0]


def test_workflow_of_a_task_is_the_one_of_its_prompt(host: Host) -> None:
    row = host.task("a boat")
    assert host.ask("GET", f"/wan27/tasks/{row}/workflow").status_code == 404
    assert host.get(f"/wan27/tasks/{row}")["has_workflow"] is False

    host.ledger.workflows.keep("prompt", {"nodes": [], "version": 0.4})

    assert host.get(f"/wan27/tasks/{row}/workflow") == {"workflow": {"nodes": [], "version": 0.4}}
    assert host.get(f"/wan27/tasks/{row}")["has_workflow"] is True
    assert host.ask("GET", "/wan27/tasks/999/workflow").status_code == 404
    other_site = {"Sec-Fetch-Site": "cross-site"}
    assert host.ask("GET", f"/wan27/tasks/{row}/workflow", headers=other_site).status_code == 403


def test_task_with_a_deleted_video_is_missing(host: Host) -> None:
    row_id = host.saved("gone")
    (host.output / "wan27" / "a.mp4").unlink()

    task = host.get(f"/wan27/tasks/{row_id}")

    assert (task["state"], task["group"], task["file"], task["poster"]) == ("missing", "saved", None, None)
    assert host.ask("GET", f"/wan27/posters/{row_id}").status_code == 404


def test_read_routes_leak_no_key_path_or_signed_url(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.user / "config.toml").write_text(f'[novita]\napi_key = "{KEY}"\nbase_url = "http://127.0.0.1:9"\n')
    row_id = host.saved("done")
    failed = host.task("failed")
    host.ledger.fail(failed, f"could not fetch {SIGNED} into {host.output}/wan27/x.mp4", billed=True)

    paths = ["/wan27/status", "/wan27/tasks", f"/wan27/tasks/{row_id}", f"/wan27/tasks/{failed}", "/wan27/balance"]
    sent = "".join(host.ask("GET", path).text for path in paths)

    assert KEY not in sent
    assert "signature" not in sent
    assert str(host.output) not in sent
    assert str(host.user) not in sent
    assert "https://bucket.example/…" in sent, "the host stays: it helps"


def test_status_names_the_missing_key_of_the_host_that_is_set(host: Host) -> None:
    host.user.mkdir(parents=True, exist_ok=True)
    (host.user / "config.toml").write_text('connection = "fal"\n')

    status = host.get("/wan27/status")

    assert "needs a key" in status["problem"]
    assert (status["key"]["host"], status["key"]["variable"]) == ("fal", "FAL_KEY")


def test_status_says_which_of_several_hosts_was_chosen(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAL_KEY", KEY)
    assert host.get("/wan27/status")["connection"]["note"] is None
    monkeypatch.setenv("NOVITA_API_KEY", KEY)

    connection = host.get("/wan27/status")["connection"]

    assert connection["name"] == "fal" and 'connection = "novita"' in connection["note"]


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

    async def cancel(row: Any, *, connection: Any) -> None:
        asked.append(f"{row.task_id} at {connection.name}")
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
        host.write("POST", f"/wan27/tasks/{row}/cancel") for row in (running, running, running, done)
    )

    assert (good.status_code, good.json()) == (202, {"canceled": True})
    assert (late.status_code, late.json()["error"]) == (409, "it is too late")
    assert (no_key.status_code, ended.status_code) == (409, 409)
    assert len(asked) == 2


def test_balance_is_refused_in_the_sandbox(host: Host) -> None:
    answer = host.ask("GET", "/wan27/balance")

    assert answer.status_code == 409
    assert "sandbox" in answer.json()["error"].lower()


@pytest.fixture
def paying(host: Host, service: Service) -> Host:
    """With a key of a service that has taken $0.30 for a video that is estimated at $0.50."""
    config = f'[novita]\napi_key = "{KEY}"\nbase_url = "{service.url}"\n'
    (host.user / "config.toml").write_text(config)
    service.credit_usd = 19.7
    connection = host.process.connection_for(host.process.settings())
    before = BalanceReading(service_of(connection), connection.account, 20.0, 0.0, time.time() - 60)
    host.ledger.balances.add(before)
    host.task("a video", service=service_of(connection))
    return host


def test_balance_stands_beside_the_estimates(paying: Host, service: Service) -> None:
    for _ in range(2):
        found = paying.get("/wan27/balance")
        assert (found["problem"], found["available_usd"], found["outstanding_usd"]) == (None, 19.7, 0.0)
        assert found["compared"] == {"since": ANY, "estimated_usd": 0.5, "fell_by_usd": 0.3}
    assert service.count["balance"] == 1
    assert paying.get("/wan27/status")["reports_balance"] is True


def test_balance_that_cannot_be_read_is_a_problem_without_the_key(paying: Host, service: Service) -> None:
    service.faults(*at("balance", "unauthorized", count=None))
    found = paying.get("/wan27/balance")

    assert set(found) == {"problem"}
    assert "INVALID_API_KEY" in found["problem"]
    assert KEY not in found["problem"]
