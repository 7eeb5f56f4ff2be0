"""Taking tasks off the list over HTTP as the browser does: what is kept, what is deleted, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.panel.conftest import Host


def remove(host: Host, row: int, **body: Any) -> Any:
    return host.write("POST", f"/wan27/tasks/{row}/remove", body)


def listed(host: Host, query: str = "") -> list[int]:
    ids: list[int] = host.get(f"/wan27/task_ids{query}")["ids"]
    return ids


def test_remove_keeps_the_file_and_can_be_taken_back(host: Host) -> None:
    row = host.saved("a boat")

    answer = remove(host, row)

    assert (answer.status_code, answer.json()["removed"]) == (200, True)
    assert listed(host) == [] and listed(host, "?group=removed") == [row]
    assert host.get("/wan27/status")["tasks"] == 0
    assert (host.output / "wan27" / "a.mp4").is_file()

    answer = host.write("POST", f"/wan27/tasks/{row}/restore")

    assert (answer.json()["removed"], answer.json()["state"]) == (False, "saved")
    assert listed(host) == [row]


def test_remove_with_its_file_deletes_only_that(host: Host) -> None:
    row, other = host.saved("a boat"), host.saved("a kite", "wan27/b.mp4")

    assert remove(host, row, delete_file=True).status_code == 200

    assert [path.name for path in (host.output / "wan27").iterdir()] == ["b.mp4"]
    assert listed(host) == [other]
    assert host.ledger.get(row).state == "saved", "the same request is not sent again"


def test_remove_refuses_a_task_whose_video_may_still_arrive(host: Host) -> None:
    row = host.task("running")

    answer = remove(host, row)

    assert answer.status_code == 409
    assert "stays in the list" in answer.json()["error"]
    assert listed(host) == [row]


def test_remove_leaves_a_file_that_was_changed(host: Host) -> None:
    row = host.saved("edited")
    file = host.output / "wan27" / "a.mp4"
    file.write_bytes(file.read_bytes() + b"edit")

    answer = remove(host, row, delete_file=True)

    assert answer.status_code == 409 and "was changed" in answer.json()["error"]
    assert file.is_file() and listed(host) == [row]
    assert remove(host, row).status_code == 200


def test_remove_deletes_nothing_outside_the_output_folder(host: Host) -> None:
    outside = host.output.parent / "mine.mp4"
    outside.write_bytes(b"mine")
    row = host.saved("outside")
    with host.ledger.database.writing() as db:
        db.execute("UPDATE tasks SET file = '../mine.mp4', file_size = 4")

    assert remove(host, row, delete_file=True).status_code == 409
    assert outside.is_file()


@pytest.mark.parametrize("action", ["remove", "restore", "fetch", "cancel"])
@pytest.mark.parametrize("refused", ["foreign origin", "no origin", "other machine", "other site", "a form"])
def test_task_actions_refuse_other_pages_and_machines(refused: str, action: str, host: Host) -> None:
    row = host.saved("a boat")
    headers = {
        "foreign origin": host.own_page | {"Origin": "https://evil.example"},
        "no origin": {"Content-Type": "application/json"},
        "other machine": host.own_page | {"X-Forwarded-For": "192.0.2.7"},
        "other site": host.own_page | {"Sec-Fetch-Site": "cross-site"},
        "a form": host.own_page | {"Content-Type": "text/plain"},
    }[refused]

    answer = host.ask("POST", f"/wan27/tasks/{row}/{action}", headers=headers, content='{"delete_file": true}')

    assert answer.status_code == 403
    assert listed(host) == [row]
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
