"""kill -9 in every window, and two processes on one user directory. Counts come from the service."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.runner.driver import POINTS
from tests.service import Service

REPO = Path(__file__).resolve().parents[2]


class Process:
    """A driver in a process of its own."""

    def __init__(self, folder: Path, service: Service, point: str = "") -> None:
        command = [sys.executable, "-m", "tests.runner.driver", str(folder), service.url, point]
        self._process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE)

    def halted(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"halted\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def killed_itself(self) -> None:
        assert self._process.wait(60) == -9
        self._process.communicate()

    def answer(self) -> dict[str, Any]:
        out, _ = self._process.communicate(timeout=60)
        answer: dict[str, Any] = json.loads(out)
        return answer


def intact(answer: dict[str, Any], service: Service) -> bool:
    return Path(answer["file"]).read_bytes() == service.video(answer["task_id"])


def one_file(folder: Path) -> bool:
    return [path.suffix for path in (folder / "output" / "wan27").iterdir()] == [".mp4"]


IN_DOUBT = {"after the mark": 0, "answered": 1}
"""The moments after which it is unknown whether the request arrived, and how many did."""


@pytest.mark.parametrize("point", [point for point in POINTS if point not in IN_DOUBT])
def test_process_killed_and_restarted_makes_one_post_and_one_video(
    point: str, tmp_path: Path, service: Service
) -> None:
    Process(tmp_path, service, point).killed_itself()
    answer = Process(tmp_path, service).answer()
    assert intact(answer, service)
    assert one_file(tmp_path)
    assert service.count["submit"] == 1


@pytest.mark.parametrize("point", IN_DOUBT)
def test_process_killed_around_the_post_leaves_it_unknown_and_sends_no_other(
    point: str, tmp_path: Path, service: Service
) -> None:
    Process(tmp_path, service, point).killed_itself()
    for _ in range(2):
        answer = Process(tmp_path, service).answer()
        assert answer["error"] == "OutcomeUnknownError"
        assert "submit_again" in answer["text"]
    assert service.count["submit"] == IN_DOUBT[point]


def test_process_killed_between_accepted_and_answered_leaves_it_unknown(tmp_path: Path, service: Service) -> None:
    service.answer.clear()
    process = Process(tmp_path, service)
    assert service.arrived.wait(30)
    process.kill()
    service.answer.set()
    assert Process(tmp_path, service).answer()["error"] == "OutcomeUnknownError"
    assert service.count["submit"] == 1


def test_process_killed_during_the_download_fetches_the_video_after_the_restart(
    tmp_path: Path, service: Service
) -> None:
    service.serve.clear()
    process = Process(tmp_path, service)
    assert service.half_sent.wait(30)
    process.kill()
    assert list((tmp_path / "output" / "wan27").glob("*.incomplete"))
    service.serve.set()
    answer = Process(tmp_path, service).answer()
    assert intact(answer, service)
    assert one_file(tmp_path)
    assert service.count["submit"] == 1


def test_processes_side_by_side_share_one_post(tmp_path: Path, service: Service) -> None:
    service.answer.clear()
    processes = [Process(tmp_path, service) for _ in range(3)]
    assert service.arrived.wait(30)
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
    assert not service.arrived.wait(0.5)  # it waits, as long as the first one lives
    first.kill()
    assert intact(second.answer(), service)
    assert service.count["submit"] == 1


def test_process_reports_unknown_when_the_one_it_waits_for_dies_during_the_post(
    tmp_path: Path, service: Service
) -> None:
    service.answer.clear()
    first = Process(tmp_path, service)
    assert service.arrived.wait(30)
    second = Process(tmp_path, service)
    wait_for_locks(tmp_path, 2)
    first.kill()
    assert second.answer()["error"] == "OutcomeUnknownError"
    assert service.count["submit"] == 1


def wait_for_locks(folder: Path, count: int) -> None:
    """Until so many processes have opened the ledger."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if len(list((folder / "user" / "ledger-locks").iterdir())) >= count:
            return
        time.sleep(0.01)
    raise AssertionError("the processes did not start")
