"""kill -9, a full disk and a locked ledger at every point of the protocol, and two processes on one user directory.

Counts come from the service.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.crash_points import IN_DOUBT, POINTS
from tests.runner.driver import RECOVERY_LOG
from tests.service import Service
from tests.systems import KILLED

REPO = Path(__file__).resolve().parents[2]


class Process:
    """A driver in a process of its own."""

    def __init__(self, folder: Path, service: Service, *actions: str) -> None:
        command = [sys.executable, "-m", "tests.runner.driver", str(folder), service.url, *actions]
        self._process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE)

    def halted(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == b"halted"

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def killed_itself(self) -> None:
        assert self._process.wait(60) in KILLED
        self._process.communicate()

    def answer(self) -> dict[str, Any]:
        out, _ = self._process.communicate(timeout=60)
        answer: dict[str, Any] = json.loads(out)
        return answer


def intact(answer: dict[str, Any], service: Service) -> bool:
    return Path(answer["file"]).read_bytes() == service.video(answer["task_id"])


def one_file(folder: Path) -> bool:
    return [path.suffix for path in (folder / "output" / "wan27").iterdir()] == [".mp4"]


def state_of(folder: Path) -> str | None:
    """Return the state of the newest record, None if there is none. Older ones were never sent."""
    path = folder / "user" / "ledger.sqlite3"
    if not path.exists():
        return None
    with sqlite3.connect(path) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'tasks'").fetchone():
            return None
        states = [state for (state,) in db.execute("SELECT state FROM tasks ORDER BY id DESC")]
    assert set(states[1:]) <= {"failed"}
    return states[0] if states else None


def check_restarted(folder: Path, service: Service, *, in_doubt: bool) -> None:
    """Check that a process without trouble collects the one video, or says that the outcome is unknown."""
    before = service.count["submit"]
    assert before <= 1
    if not in_doubt:
        answer = Process(folder, service).answer()
        assert "file" in answer, answer
        assert intact(answer, service)
        assert one_file(folder)
        assert state_of(folder) == "saved"
        assert service.count["submit"] == 1
        return
    for _ in range(2):
        answer = Process(folder, service).answer()
        assert answer["error"] == "OutcomeUnknownError", answer
        assert "submit_again" in answer["text"]
    assert state_of(folder) == "unknown"
    assert service.count["submit"] == before


@pytest.mark.parametrize("name", POINTS)
def test_process_killed_at_a_point_loses_nothing_and_pays_once(name: str, tmp_path: Path, service: Service) -> None:
    point = POINTS[name]
    Process(tmp_path, service, f"kill:{name}").killed_itself()
    assert (state_of(tmp_path), service.count["submit"]) == (point.state, point.posts)
    check_restarted(tmp_path, service, in_doubt=name in IN_DOUBT)
    assert service.count["upload"] == (2 if name == "uploaded, not recorded" else 1)


def test_process_killed_between_accepted_and_answered_leaves_it_unknown(tmp_path: Path, service: Service) -> None:
    service.answer.clear()
    process = Process(tmp_path, service)
    assert service.arrived.wait(60)
    process.kill()
    service.answer.set()
    assert (state_of(tmp_path), service.count["submit"]) == ("intent", 1)
    check_restarted(tmp_path, service, in_doubt=True)


def test_process_killed_during_the_download_fetches_the_video_after_the_restart(
    tmp_path: Path, service: Service
) -> None:
    service.serve.clear()
    process = Process(tmp_path, service)
    assert service.half_sent.wait(60)
    process.kill()
    assert list((tmp_path / "output" / "wan27").glob("*.incomplete"))
    service.serve.set()
    assert state_of(tmp_path) == "succeeded"
    check_restarted(tmp_path, service, in_doubt=False)


LOCKABLE = [name for name in POINTS if name != "intent not committed"]
"""There this process has the ledger locked itself."""
TASK_IN_RECOVERY_LOG = {"marked, not sent", "answer not read", "answer not stored"}
"""The task id arrives while the ledger is locked, so it goes into the recovery log."""


@pytest.mark.parametrize("name", LOCKABLE)
def test_process_with_a_locked_ledger_loses_nothing_and_pays_once(name: str, tmp_path: Path, service: Service) -> None:
    if name == "before the upload":
        (tmp_path / "user").mkdir()  # for the lock, which comes before the ledger
    answer = Process(tmp_path, service, f"locked:{name}").answer()
    assert "file" in answer or "locked by another program" in answer["text"], answer
    assert (tmp_path / RECOVERY_LOG).exists() == (name in TASK_IN_RECOVERY_LOG)
    check_restarted(tmp_path, service, in_doubt=False)


@pytest.mark.parametrize("name", POINTS)
def test_process_with_a_full_disk_loses_nothing_and_pays_once(name: str, tmp_path: Path, service: Service) -> None:
    answer = Process(tmp_path, service, f"full:{name}").answer()
    in_doubt = name in TASK_IN_RECOVERY_LOG
    if in_doubt:  # nothing could be stored: the error itself has the task id
        assert service.accepted()[0] in answer["text"]
    else:
        assert "file" in answer or "disk" in answer["text"], answer
    check_restarted(tmp_path, service, in_doubt=in_doubt)


@pytest.mark.parametrize("name", ["before the recovery log", "in the recovery log"])
def test_process_killed_around_the_recovery_log(name: str, tmp_path: Path, service: Service) -> None:
    Process(tmp_path, service, "locked:answer not stored", f"kill:{name}").killed_itself()
    assert (state_of(tmp_path), service.count["submit"]) == ("intent", 1)
    check_restarted(tmp_path, service, in_doubt=name in IN_DOUBT)


@pytest.mark.parametrize(("name", "state"), [("before the replay", "intent"), ("replayed", "submitted")])
def test_process_killed_around_the_replay(name: str, state: str, tmp_path: Path, service: Service) -> None:
    Process(tmp_path, service, "locked:answer not stored", "kill:in the recovery log").killed_itself()
    Process(tmp_path, service, f"kill:{name}").killed_itself()
    assert (state_of(tmp_path), service.count["submit"]) == (state, 1)
    check_restarted(tmp_path, service, in_doubt=False)


def test_processes_side_by_side_share_one_post(tmp_path: Path, service: Service) -> None:
    service.answer.clear()
    processes = [Process(tmp_path, service) for _ in range(3)]
    assert service.arrived.wait(60)
    service.answer.set()
    answers = [process.answer() for process in processes]
    assert len({answer["task_id"] for answer in answers}) == 1
    assert all(intact(answer, service) for answer in answers)
    assert one_file(tmp_path)
    assert service.count["submit"] == 1


def test_process_sends_when_the_one_it_waits_for_dies_before_sending(tmp_path: Path, service: Service) -> None:
    first = Process(tmp_path, service, "halt:before the mark")
    first.halted()
    second = Process(tmp_path, service)
    wait_for_locks(tmp_path, 2)
    assert not service.arrived.wait(0.5)  # it waits, as long as the first one lives
    first.kill()
    assert intact(second.answer(), service)
    assert service.count["submit"] == 1


def test_process_reports_unknown_when_the_one_it_waits_for_dies_during_the_post(
    tmp_path: Path, service: Service
) -> None:
    service.answer.clear()
    first = Process(tmp_path, service)
    assert service.arrived.wait(60)
    second = Process(tmp_path, service)
    wait_for_locks(tmp_path, 2)
    first.kill()
    assert second.answer()["error"] == "OutcomeUnknownError"
    assert service.count["submit"] == 1


def wait_for_locks(folder: Path, count: int) -> None:
    """Until so many processes have opened the ledger."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if len(list((folder / "user" / "ledger-locks").iterdir())) >= count:
            return
        time.sleep(0.01)
    raise AssertionError("the processes did not start")
