"""Taking tasks off the list over HTTP as the browser does: what is kept, what is deleted, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nodes.core import disk
from tests.panel.conftest import Host
from tests.systems import link_or_skip


def remove(host: Host, record_id: int, **body: Any) -> Any:
    return host.write("POST", f"/wan27/tasks/{record_id}/remove", body)


def listed(host: Host, query: str = "") -> list[int]:
    ids: list[int] = host.get(f"/wan27/task_ids{query}")["ids"]
    return ids


def test_remove_keeps_the_file_and_can_be_taken_back(host: Host) -> None:
    record_id = host.saved("a boat")

    answer = remove(host, record_id)

    assert (answer.status_code, answer.json()["removed"]) == (200, True)
    assert listed(host) == [] and listed(host, "?group=removed") == [record_id]
    status = host.get("/wan27/status")
    assert (status["tasks"], status["all_tasks"]) == (0, 1)
    assert (host.output / "wan27" / "a.mp4").is_file()

    answer = host.write("POST", f"/wan27/tasks/{record_id}/restore")

    assert (answer.json()["removed"], answer.json()["state"]) == (False, "saved")
    assert listed(host) == [record_id]


def test_remove_with_its_file_deletes_only_that(host: Host) -> None:
    record_id, other = host.saved("a boat"), host.saved("a kite", "wan27/b.mp4")

    assert remove(host, record_id, delete_file=True).status_code == 200

    assert [path.name for path in (host.output / "wan27").iterdir()] == ["b.mp4"]
    assert listed(host) == [other]
    assert host.ledger.get(record_id).state == "saved", "the same request is not sent again"


def test_remove_refuses_a_task_whose_video_may_still_arrive(host: Host) -> None:
    record_id = host.task("running")

    answer = remove(host, record_id)

    assert answer.status_code == 409
    assert "stays in the list" in answer.json()["error"]
    assert listed(host) == [record_id]


def test_remove_leaves_a_file_that_was_changed(host: Host) -> None:
    record_id = host.saved("edited")
    file = host.output / "wan27" / "a.mp4"
    file.write_bytes(file.read_bytes() + b"edit")

    answer = remove(host, record_id, delete_file=True)

    assert answer.status_code == 409 and "was changed" in answer.json()["error"]
    assert file.is_file() and listed(host) == [record_id]
    assert remove(host, record_id).status_code == 200


def test_remove_deletes_no_file_if_the_ledger_refuses(host: Host) -> None:
    record_id = host.saved("a boat")
    with host.ledger.database.writing() as db:
        db.execute("CREATE TRIGGER refuse BEFORE UPDATE ON tasks BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END")

    assert remove(host, record_id, delete_file=True).status_code == 500

    assert (host.output / "wan27" / "a.mp4").is_file() and listed(host) == [record_id]


def test_remove_keeps_a_task_on_the_list_whose_file_cannot_be_deleted(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_id = host.saved("a boat")

    def refused(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "in use")

    monkeypatch.setattr(disk, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(Path, "unlink", refused)

    answer = remove(host, record_id, delete_file=True)

    assert answer.status_code == 409 and "in use" in answer.json()["error"]
    assert listed(host) == [record_id]


def test_remove_deletes_a_link_and_not_what_it_leads_to(host: Host) -> None:
    record_id = host.saved("a boat")
    link, target = host.output / "wan27" / "a.mp4", host.output / "archive.mp4"
    link.rename(target)
    link_or_skip(link, target)

    assert remove(host, record_id, delete_file=True).status_code == 200

    assert not link.is_symlink() and target.is_file()


def test_remove_deletes_the_workflow_with_the_last_task_of_its_prompt(host: Host) -> None:
    first, second = host.saved("a boat"), host.saved("a kite", "wan27/b.mp4")
    host.ledger.workflows.keep("prompt", {"nodes": []})
    host.ledger.workflows.keep("other", {"nodes": []})

    remove(host, first)
    assert host.ledger.workflows.has("prompt")
    remove(host, second)

    assert [host.ledger.workflows.has(each) for each in ("prompt", "other")] == [False, True]


def test_remove_deletes_nothing_outside_the_output_folder(host: Host) -> None:
    outside = host.output.parent / "mine.mp4"
    outside.write_bytes(b"mine")
    record_id = host.saved("outside")
    with host.ledger.database.writing() as db:
        db.execute("UPDATE tasks SET file = '../mine.mp4', file_size = 4")

    assert remove(host, record_id, delete_file=True).status_code == 409
    assert outside.is_file()


@pytest.mark.parametrize("action", ["remove", "restore", "fetch", "cancel"])
@pytest.mark.parametrize("refused", ["foreign origin", "no origin", "other machine", "other site", "a form"])
def test_task_actions_refuse_other_pages_and_machines(refused: str, action: str, host: Host) -> None:
    record_id = host.saved("a boat")
    headers = {
        "foreign origin": host.own_page | {"Origin": "https://evil.example"},
        "no origin": {"Content-Type": "application/json"},
        "other machine": host.own_page | {"X-Forwarded-For": "192.0.2.7"},
        "other site": host.own_page | {"Sec-Fetch-Site": "cross-site"},
        "a form": host.own_page | {"Content-Type": "text/plain"},
    }[refused]

    answer = host.ask("POST", f"/wan27/tasks/{record_id}/{action}", headers=headers, content='{"delete_file": true}')

    assert answer.status_code == 403
    assert listed(host) == [record_id]
    assert (host.output / "wan27" / "a.mp4").is_file()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("999/remove", {}, 404),
        ("999/restore", {}, 404),
        ("999/fetch", {}, 409),
        ("999/cancel", {}, 409),
        ("1/remove", {"delete_file": "yes"}, 400),
        ("1/remove", {"delete_file": 1}, 400),
        ("-1/remove", {}, 404),
        ("..%2F1/remove", {}, 404),
    ],
)
def test_task_actions_refuse_unknown_tasks_and_bad_values(path: str, body: Any, status: int, host: Host) -> None:
    host.saved("a boat")

    assert host.write("POST", f"/wan27/tasks/{path}", body).status_code == status
    assert listed(host) == [1] and (host.output / "wan27" / "a.mp4").is_file()
