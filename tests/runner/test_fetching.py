from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from nodes.api.connection import Connection
from nodes.core import disk
from nodes.core.errors import (
    DownloadError,
    TaskFailedError,
    TaskNotFoundError,
)
from nodes.runner.models import Progress
from nodes.runner.run_times import SPREAD
from tests.fixtures import House
from tests.runner.conftest import content, soon
from tests.service import Service, at
from tests.systems import refuse_opening


def test_failed_task_may_be_submitted_again(house: House, service: Service) -> None:
    reason = "InvalidParameter.DataInspection: no download"
    service.faults(*at("task", "fail", reason=reason))

    async def graph() -> None:
        service.finish.clear()
        [submitted] = await house.submit()
        service.finish.set()
        with pytest.raises(TaskFailedError, match=r"InvalidParameter\.DataInspection"):
            await house.wait(submitted.task_id)
        polls = service.count["result"]
        with pytest.raises(TaskFailedError):
            await house.wait(submitted.task_id)
        assert service.count["result"] == polls

    asyncio.run(graph())
    assert house.ledger().spent("run")[0] == pytest.approx(0.2)  # no refund is documented
    house.run()
    assert len(service.accepted()) == 2


def test_result_with_impossible_numbers_is_fetched(house: House, service: Service) -> None:
    times = {"submit_time_ms": 10**25, "execute_time_ms": -(10**30), "complete_time_ms": "9" * 40}
    extra = {"seed": 2**64 - 1, "debug_info": times}
    service.faults(*at("result", "edit", extra=extra, ttl=10**30, count=None))
    [finished] = house.run()
    assert finished.path.read_bytes() == content(service)
    assert finished.info["seed"] == 1  # the request's own
    assert finished.info["times"]["executed"] is None


def test_time_left_is_learned_from_tasks_that_were_watched(house: House, service: Service) -> None:
    seen: list[Progress] = []

    async def graph(seed: int) -> None:
        service.finish.clear()
        [submitted] = await house.submit(house.order(seed))
        waiting = asyncio.ensure_future(house.wait(submitted.task_id, on_update=seen.append))
        await soon(lambda: any(progress.state in ("queued", "processing") for progress in seen))
        service.finish.set()
        await waiting

    service.faults(*at("result", "edit", extra={"debug_info": {}}, count=None))  # the service says no times
    asyncio.run(graph(1))
    assert {progress.left_seconds() for progress in seen} == {None}
    [run] = house.ledger().finished_runs(house.ledger().task_list.page().records[0].service)
    assert (run.resolution, run.duration) == ("720P", 2)
    seen.clear()
    asyncio.run(graph(2))
    usual = next(progress.usual_seconds for progress in seen if progress.state != "downloading")
    assert usual == pytest.approx((run.seconds, run.seconds * SPREAD))


def test_pasted_id_unknown_to_the_ledger_is_fetched(house: House, service: Service) -> None:
    task_id = service.make(image_url="https://x.test/b.png")
    finished = asyncio.run(house.wait(f" {task_id} "))
    assert finished.path.read_bytes() == service.video(task_id)
    assert finished.info["estimated_cost"] is None
    service.stop()
    assert asyncio.run(house.wait(task_id)).path == finished.path


def test_pasted_id_unknown_to_the_service_is_an_error(house: House, service: Service) -> None:
    with pytest.raises(TaskNotFoundError, match=r"output cache that another ComfyUI.* submit_again"):
        asyncio.run(house.wait("never-submitted"))
    assert house.states() == []


def test_forgotten_task_is_an_error_that_names_submit_again(house: House, service: Service) -> None:
    now = [1e9]
    house.start(wall_clock=lambda: now[0])
    service.faults(*at("result", "processing", count=None))
    asyncio.run(house.submit())
    house.runner.close(1.0)
    now[0] += 3600
    service.faults(*at("result", "not_found", count=3))
    house.start(wall_clock=lambda: now[0])
    with pytest.raises(TaskNotFoundError, match=r"forgotten.*submit_again"):
        house.run()
    assert len(service.accepted()) == 1


def test_forgotten_task_of_the_sandbox_is_made_again(house: House, service: Service) -> None:
    house.connection = Connection("sandbox", service.url, "key")
    service.faults(*at("result", "processing", count=None))
    asyncio.run(house.submit())
    house.runner.close(1.0)
    service.faults()
    service.forget()
    house.start(wall_clock=lambda: time.time() + 3600)
    with pytest.raises(TaskFailedError, match="sandbox has forgotten"):
        house.run()
    house.run()
    assert house.ledger().spent("run") == (0.0, 0.0)


def test_deleted_file_is_fetched_again_while_the_service_has_it(house: House, service: Service) -> None:
    [first] = house.run()
    first.path.unlink()
    [again] = house.run()
    assert again.path.read_bytes() == content(service)
    again.path.unlink()
    service.faults(*at("download", "expired", count=9))
    with pytest.raises(DownloadError, match=r"video is gone.*submit_again"):
        house.run()
    service.faults(*at("result", "not_found", count=99))
    [old_link] = house.run()
    assert old_link.path.exists()
    old_link.path.unlink()
    service.faults(*at("download", "expired", count=9))
    with pytest.raises(DownloadError, match="video is gone"):
        house.run()
    assert len(service.accepted()) == 1


def test_changed_file_stays_and_the_video_is_saved_beside_it(
    house: House, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    [first] = house.run()
    first.path.write_bytes(b"cut by its owner")
    notes: set[str] = set()
    again = asyncio.run(house.wait(service.accepted()[0], lambda progress: notes.add(progress.note)))
    assert first.path.read_bytes() == b"cut by its owner"
    assert again.path.read_bytes() == content(service)
    assert again.info["file"] == f"wan27/{first.path.stem}_2.mp4"
    assert any("was changed since it was saved and stays" in note for note in notes)
    assert "was changed since it was saved and stays" in caplog.text
    service.stop()
    assert house.run()[0].path == again.path


def test_changed_file_is_not_called_missing_when_its_video_is_gone(house: House, service: Service) -> None:
    [first] = house.run()
    first.path.write_bytes(b"cut by its owner")
    service.faults(*at("download", "expired", count=9))
    with pytest.raises(DownloadError, match=r"was changed since it was saved.*submit_again") as caught:
        house.run()
    assert "no longer in the output folder" not in str(caught.value)
    assert first.path.read_bytes() == b"cut by its owner"


@pytest.mark.parametrize("fault", ["page", "half"])
def test_link_to_something_else_is_replaced_by_a_fresh_one(house: House, service: Service, fault: str) -> None:
    service.faults(*at("download", fault, count=2))
    [finished] = house.run()
    assert finished.path.read_bytes() == content(service)
    finished.path.unlink()
    service.faults(*at("download", fault, count=9))
    with pytest.raises(DownloadError, match=r"led to something else.*whole mp4.*Queue again"):
        house.run()
    assert house.videos == []


def test_link_to_something_else_is_replaced_while_another_program_has_the_file_of_the_first(
    house: House, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows deletes an open file only when it is closed, and refuses to open another under its name until then."""
    deleted: set[Path] = set()
    opening, unlink = Path.open, Path.unlink

    def refuse_deleted(self: Path, *args: Any, **options: Any) -> Any:
        if self in deleted:
            raise PermissionError(13, "Permission denied")
        return opening(self, *args, **options)

    def delete(self: Path, missing_ok: bool = False) -> None:
        deleted.add(self)
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "open", refuse_deleted)
    monkeypatch.setattr(Path, "unlink", delete)
    service.faults(*at("download", "page", count=2))
    [finished] = house.run()
    assert finished.path.read_bytes() == content(service)


def test_file_that_a_program_holds_after_the_download_is_recorded_when_it_is_free(
    house: House, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = refuse_opening(house.output / "wan27" / "*.mp4", monkeypatch)
    [finished] = house.run()
    assert left == [] and house.states() == ["saved"]
    assert finished.path.read_bytes() == content(service)


def test_file_that_a_program_keeps_after_the_download_is_an_error_and_the_next_run_fetches_it(
    house: House, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = refuse_opening(house.output / "wan27" / "*.mp4", monkeypatch, times=10**6)
    monkeypatch.setattr(disk, "PATIENCE_SECONDS", 0.05)
    with pytest.raises(
        DownloadError, match=r"saved as wan27/.*cannot be read \(Permission denied\).*Queue again"
    ) as caught:
        house.run()
    assert str(house.folder) not in str(caught.value) and house.states() == ["succeeded"]
    left.clear()
    [finished] = house.run()
    assert finished.path.read_bytes() == content(service)
    assert len(service.accepted()) == 1 and house.states() == ["saved"]


def test_link_that_expired_is_replaced_by_a_fresh_one(house: House, service: Service) -> None:
    service.faults(*at("download", "expired", count=2))
    [finished] = house.run()
    assert finished.path.read_bytes() == content(service)


def test_download_cut_ten_times_is_complete(house: House, service: Service) -> None:
    kinds = ["cut", "server_error", "cut", "cut", "ignore_range", *["cut"] * 6]
    service.faults(*at("download", *kinds))
    [finished] = house.run()
    assert finished.path.read_bytes() == content(service)
    assert [path.suffix for path in house.videos] == [".mp4"]
