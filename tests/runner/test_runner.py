"""What was paid for is never lost and never paid for twice, inside one process."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from nodes.api.connection import Connection
from nodes.api.retry import RATE_LIMIT_BACKOFF
from nodes.config.settings import Budget
from nodes.core.backoff import Backoff
from nodes.core.errors import (
    AuthenticationError,
    BudgetError,
    ContentError,
    DownloadError,
    LedgerError,
    NotDeliveredError,
    OutcomeUnknownError,
    ServerError,
    TaskFailedError,
    TaskNotFoundError,
    WaitTimeoutError,
)
from nodes.core.redaction import URL_LOGGERS
from nodes.runner.models import Progress
from nodes.runner.polling import FAILURES_IN_A_ROW
from tests.runner.conftest import House, only, soon
from tests.service import Service, at


def content(service: Service, index: int = 0) -> bytes:
    return service.video(service.accepted()[index])


def thread_names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_brings_the_video_and_tells_about_it(house: House, service: Service) -> None:
    seen: list[Progress] = []

    async def graph() -> None:
        service.faults(*at("result", "edit", extra={"seed": "77"}, count=None))
        service.finish.clear()
        [submitted] = await house.submit(house.order(seed=5))
        assert (submitted.task_id, submitted.reused, submitted.estimated_cost) == (service.accepted()[0], False, 0.2)
        waiting = asyncio.ensure_future(house.wait(submitted.task_id, seen.append))
        await soon(lambda: seen)
        service.finish.set()
        finished = await waiting
        assert finished.path.read_bytes() == content(service)
        assert finished.path.parent == house.output / "wan27"
        info = finished.info
        assert info["task_id"] == service.accepted()[0]
        assert (info["state"], info["seed"], info["estimated_cost"]) == ("saved", 77, 0.2)
        assert info["file"] == f"wan27/{finished.path.name}"
        assert str(house.folder) not in str(info)

    asyncio.run(graph())
    assert {"processing", "downloading"} <= {item.state for item in seen}
    assert [path.suffix for path in house.videos] == [".mp4"]


def test_same_request_is_reused_without_any_network(house: House, service: Service) -> None:
    [first] = house.run()
    before = service.count.copy()
    [again] = house.run()
    assert again.path == first.path
    assert service.count == before


def test_same_request_in_one_batch_and_in_flight_is_one_post(house: House, service: Service) -> None:
    async def graph() -> None:
        service.answer.clear()
        batch = asyncio.ensure_future(house.submit(house.order(), house.order(), house.order(seed=2)))
        await soon(lambda: len(service.accepted()) == 2)
        joined = asyncio.ensure_future(house.submit())
        await asyncio.sleep(0)
        service.answer.set()
        first, twin, other = await batch
        [later] = await joined
        assert first.task_id == twin.task_id == later.task_id != other.task_id
        assert [item.reused for item in (first, twin, other, later)] == [False, True, False, True]
        assert twin.estimated_cost == later.estimated_cost == 0.0

    asyncio.run(graph())
    assert len(service.accepted()) == 2


def test_submit_again_makes_another_each_time(house: House, service: Service) -> None:
    again = house.order(on_repeat="submit_again")
    house.run(house.order())
    house.run(again, again)
    assert len(service.accepted()) == 3
    house.run(house.order())
    assert len(service.accepted()) == 3


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "lost_answer"},
        {"kind": "refuse"},
        {"kind": "server_error"},
        {"kind": "unavailable"},
        {"kind": "error", "status": 408, "reason": ""},
        {"kind": "page"},
        {"kind": "no_id"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_a_lost_answer_is_never_sent_again_by_itself(house: House, service: Service, fault: dict[str, Any]) -> None:
    service.faults({"at": "submit", **fault})
    with pytest.raises(OutcomeUnknownError, match="paste its task id"):
        house.run()
    for _ in range(3):
        with pytest.raises(OutcomeUnknownError, match="submit_again"):
            house.run()
    assert service.count["submit"] == 1
    assert house.states() == ["unknown"]
    house.run(house.order(on_repeat="submit_again"))
    assert service.count["submit"] == 2
    house.run()  # reuse finds the one that worked
    assert service.count["submit"] == 2


def test_one_doubtful_request_stops_its_batch_before_the_post(house: House, service: Service) -> None:
    service.faults(*at("submit", "lost_answer"))
    with pytest.raises(OutcomeUnknownError):
        house.run(house.order(seed=2))
    with pytest.raises(OutcomeUnknownError, match="Request 2 of 3"):
        house.run(house.order(seed=1), house.order(seed=2), house.order(seed=3))
    assert service.count["submit"] == 1


def test_a_batch_goes_on_when_one_answer_is_lost(house: House, service: Service) -> None:
    service.faults(*at("submit", "lost_answer"))
    orders = [house.order(seed=seed) for seed in range(4)]

    async def graph() -> None:
        with pytest.raises(OutcomeUnknownError, match="of 4"):
            await house.submit(*orders)
        await soon(lambda: house.states().count("saved") == 3)

    asyncio.run(graph())
    assert service.count["submit"] == 4


def test_a_refusal_is_definite_and_may_be_sent_again(house: House, service: Service) -> None:
    service.faults(*at("submit", "error"))
    with pytest.raises(ContentError, match="ILLEGAL_PROMPT"):
        house.run()
    assert house.states() == ["failed"]
    house.run()
    assert service.count["submit"] == 2


def test_429_is_sent_again(house: House, service: Service) -> None:
    service.faults(*at("submit", "rate_limit", count=2, retry_after=0))
    house.run()
    assert (service.count["submit"], len(service.accepted())) == (3, 1)


def test_refused_connections_are_tried_again_until_one_is_accepted(house: House, service: Service) -> None:
    service.stop()

    async def graph() -> str:
        task = asyncio.ensure_future(house.submit())
        await soon(lambda: "intent" in house.states())
        service.start()
        return only(await task).task_id

    assert [asyncio.run(graph())] == service.accepted()
    assert service.count["submit"] == 1


def test_the_wait_for_a_slot_takes_nothing_from_the_time_for_retries(house: House, service: Service) -> None:
    later = [0.0]
    house.start(clock=lambda: time.monotonic() + later[0])
    service.faults(*at("submit", "rate_limit", skip=4, count=2, retry_after=0))

    async def graph() -> None:
        service.answer.clear()
        task = asyncio.ensure_future(house.submit(*(house.order(seed=seed) for seed in range(5))))
        await soon(lambda: len(service.accepted()) == 4)
        later[0] = 2 * RATE_LIMIT_BACKOFF.budget_seconds  # that long the first four keep the fifth waiting
        service.answer.set()
        assert len(await task) == 5

    asyncio.run(graph())
    assert service.count["submit"] == 7


def test_a_service_that_stays_away_is_an_error_and_costs_no_budget(house: House, service: Service) -> None:
    service.stop()
    house.start(not_delivered=Backoff(0.01, 0.01, 0.05))
    with pytest.raises(NotDeliveredError, match="cannot be reached"):
        house.run()
    assert house.states() == ["failed"]
    assert house.ledger().spent("run") == (0.0, 0.0)


def test_cancelling_while_the_post_is_on_its_way_loses_nothing(house: House, service: Service) -> None:
    async def interrupted() -> None:
        service.answer.clear()
        task = asyncio.ensure_future(house.submit())
        await soon(service.arrived.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    service.answer.set()
    [finished] = house.run()
    assert finished.path.read_bytes() == content(service)
    assert service.count["submit"] == 1


def test_cancelling_withdraws_what_was_not_sent(house: House, service: Service) -> None:
    orders = [house.order(seed=seed) for seed in range(20)]

    async def interrupted() -> None:
        service.answer.clear()
        task = asyncio.ensure_future(house.submit(*orders))
        await soon(lambda: len(service.accepted()) == 4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        service.answer.set()
        await soon(lambda: sorted(set(house.states())) == ["failed", "saved"])

    asyncio.run(interrupted())
    assert service.count["submit"] == 4
    assert house.ledger().spent("run")[0] == pytest.approx(4 * 0.2)
    house.run(*orders)
    assert service.count["submit"] == 20


def test_waiting_ends_at_once_and_the_video_comes_all_the_same(house: House, service: Service) -> None:
    async def interrupted() -> None:
        service.finish.clear()
        [submitted] = await house.submit()
        seen: list[Progress] = []
        task = asyncio.ensure_future(house.wait(submitted.task_id, seen.append))
        await soon(lambda: seen)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(WaitTimeoutError, match=rf"{submitted.task_id}.*queue again"):
            await house.wait(submitted.task_id, timeout=0.05)

    asyncio.run(interrupted())
    service.finish.set()
    asyncio.run(soon(lambda: house.states() == ["saved"]))


def test_polls_ride_out_all_trouble(house: House, service: Service) -> None:
    service.faults(
        *at("result", "not_found", "server_error", "cut", "broken_json"),
        *at("result", "rate_limit", retry_after=0),
        *at("result", "processing", "unavailable", "not_found"),
    )
    [finished] = house.run()
    assert finished.path.read_bytes() == content(service)


def test_a_bad_key_while_polling_keeps_the_task(house: House, service: Service) -> None:
    service.faults(*at("result", "unauthorized", count=2))
    with pytest.raises(AuthenticationError):
        house.run()
    service.faults()
    house.run()
    assert len(service.accepted()) == 1


def test_a_failed_task_may_be_submitted_again(house: House, service: Service) -> None:
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


def test_numbers_that_nothing_can_hold_keep_no_video_back(house: House, service: Service) -> None:
    times = {"submit_time_ms": 10**25, "execute_time_ms": -(10**30), "complete_time_ms": "9" * 40}
    extra = {"seed": 2**64 - 1, "debug_info": times}
    service.faults(*at("result", "edit", extra=extra, ttl=10**30, count=None))
    [finished] = house.run()
    assert finished.path.read_bytes() == content(service)
    assert finished.info["seed"] == 1  # the request's own
    assert finished.info["times"]["completed"] is None


def test_a_failure_that_is_reported_again_and_again_is_one(house: House, service: Service) -> None:
    service.faults(*at("result", "task_failed", count=FAILURES_IN_A_ROW))
    with pytest.raises(TaskFailedError, match="TASK_FAILED - set by a test"):
        house.run()
    assert house.states() == ["failed"]
    assert house.ledger().spent("run")[0] == pytest.approx(0.2)  # no refund is documented
    house.run()
    assert len(service.accepted()) == 2


def test_a_failure_that_is_reported_now_and_then_is_none(house: House, service: Service) -> None:
    few = ["task_failed"] * (FAILURES_IN_A_ROW - 1)
    service.faults(*at("result", *few, "processing", *few, "server_error", *few))
    [finished] = house.run()
    assert finished.path.read_bytes() == content(service)


def test_a_task_that_was_finished_once_is_not_failed_later(house: House, service: Service) -> None:
    [finished] = house.run()
    finished.path.unlink()
    service.faults(*at("result", "task_failed", count=FAILURES_IN_A_ROW))
    with pytest.raises(ServerError, match="TASK_FAILED"):
        house.run()
    house.run()
    assert len(service.accepted()) == 1


def test_a_failure_that_is_reported_to_a_post_leaves_it_in_doubt(house: House, service: Service) -> None:
    service.faults(*at("submit", "error", status=500, reason="TASK_FAILED"))
    with pytest.raises(OutcomeUnknownError):
        house.run()
    assert (service.count["submit"], house.states()) == (1, ["unknown"])


def test_a_pasted_id_that_the_ledger_never_saw(house: House, service: Service) -> None:
    task_id = service.make(image_url="https://x.test/b.png")
    finished = asyncio.run(house.wait(f" {task_id} "))
    assert finished.path.read_bytes() == service.video(task_id)
    assert finished.info["estimated_cost"] is None
    service.stop()
    assert asyncio.run(house.wait(task_id)).path == finished.path


def test_a_pasted_id_that_nobody_knows(house: House, service: Service) -> None:
    with pytest.raises(TaskNotFoundError):
        asyncio.run(house.wait("nobody-knows-me"))
    assert house.states() == []


def test_a_task_that_the_service_forgot(house: House, service: Service) -> None:
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


def test_a_task_that_the_sandbox_forgot_is_made_again(house: House, service: Service) -> None:
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


def test_a_deleted_file_is_fetched_again_while_the_service_has_it(house: House, service: Service) -> None:
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


def test_a_changed_file_stays_and_the_video_is_saved_beside_it(
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


def test_a_changed_file_whose_video_is_gone_is_not_called_missing(house: House, service: Service) -> None:
    [first] = house.run()
    first.path.write_bytes(b"cut by its owner")
    service.faults(*at("download", "expired", count=9))
    with pytest.raises(DownloadError, match=r"was changed since it was saved.*submit_again") as caught:
        house.run()
    assert "no longer in the output folder" not in str(caught.value)
    assert first.path.read_bytes() == b"cut by its owner"


@pytest.mark.parametrize("fault", ["page", "half"])
def test_what_is_no_video_leads_to_a_fresh_link(house: House, service: Service, fault: str) -> None:
    service.faults(*at("download", fault, count=2))
    [finished] = house.run()
    assert finished.path.read_bytes() == content(service)
    finished.path.unlink()
    service.faults(*at("download", fault, count=9))
    with pytest.raises(DownloadError, match=r"led to something else.*whole mp4.*Queue again"):
        house.run()
    assert house.videos == []


def test_an_expired_link_is_replaced_by_a_fresh_one(house: House, service: Service) -> None:
    service.faults(*at("download", "expired", count=2))
    [finished] = house.run()
    assert finished.path.read_bytes() == content(service)


def test_a_download_cut_ten_times_is_whole(house: House, service: Service) -> None:
    kinds = ["cut", "server_error", "cut", "cut", "ignore_range", *["cut"] * 6]
    service.faults(*at("download", *kinds))
    [finished] = house.run()
    assert finished.path.read_bytes() == content(service)
    assert [path.suffix for path in house.videos] == [".mp4"]


def test_the_key_goes_to_no_result_and_no_link_to_the_log(
    house: House, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in URL_LOGGERS:
        caplog.set_level(logging.DEBUG, logger=name)
    service.faults(*at("download", "server_error", "redirect", "cut"))
    [finished] = house.run()
    assert not any("Authorization" in headers for headers in service.download_headers)
    everything = (
        caplog.text + repr(finished) + repr(house.order()) + repr(house.ledger().find(service.accepted()[0], ""))
    )
    assert "key-of-a-test" not in everything
    assert service.signatures
    assert not any(signature in everything for signature in service.signatures)


def test_budget_of_a_run_counts_all_its_nodes_and_items(house: House, service: Service) -> None:
    house.start(budget=Budget(per_run_usd=0.5, per_day_usd=100))

    async def graph() -> None:
        outcomes = await asyncio.gather(
            *(house.submit(house.order(seed=seed, prompt_id="one")) for seed in range(4)), return_exceptions=True
        )
        assert [isinstance(outcome, BudgetError) for outcome in outcomes].count(True) == 2
        with pytest.raises(BudgetError, match=r"\$0\.60.*\$0\.50.*per_run_usd.*config\.toml"):
            await house.submit(*(house.order(seed=seed, prompt_id="two") for seed in range(10, 13)))
        await house.submit(*(house.order(seed=seed, prompt_id="one") for seed in range(2)))  # nothing new
        await house.submit(house.order(seed=20, prompt_id="three"))

    asyncio.run(graph())
    assert service.count["submit"] == 3


def test_budget_of_the_day(house: House, service: Service) -> None:
    house.start(budget=Budget(per_run_usd=100, per_day_usd=0.5))
    house.run(house.order(seed=1, prompt_id="a"))
    service.faults(*at("submit", "lost_answer"))
    with pytest.raises(OutcomeUnknownError):
        house.run(house.order(seed=2, prompt_id="b"))
    with pytest.raises(BudgetError, match=r"\$0\.40 were used today.*per_day_usd"):
        house.run(house.order(seed=3, prompt_id="c"))
    assert service.count["submit"] == 2


def test_a_ledger_that_cannot_be_used_stops_everything(house: House, service: Service) -> None:
    path = house.ledger().database.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"this is no database, but somebody may want it back" * 100)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=r"damaged.*Nothing was sent"):
        house.run()
    assert path.read_bytes() == before
    assert service.count["submit"] == 0


def test_what_an_earlier_process_left_is_picked_up(house: House, service: Service) -> None:
    service.finish.clear()
    asyncio.run(house.submit(house.order(1), house.order(2)))
    house.runner.close(1.0)
    service.finish.set()
    house.start().resume_unfinished()
    asyncio.run(soon(lambda: house.states() == ["saved", "saved"]))
    assert len(service.accepted()) == 2


def test_a_task_that_was_given_up_is_looked_for_again(house: House, service: Service) -> None:
    service.faults(*at("result", "unauthorized", count=3))
    house.start(scan_seconds=0.05)
    asyncio.run(house.submit())  # and nobody waits
    asyncio.run(soon(lambda: house.states() == ["saved"]))
    assert service.fault_hits()[0]["hits"] == 3
    assert len(service.accepted()) == 1


def test_a_task_is_picked_up_once_its_connection_is_set(house: House, service: Service) -> None:
    connection = house.connection
    service.faults(*at("result", "processing", count=None))
    asyncio.run(house.submit())
    house.runner.close(1.0)
    service.faults()
    asked: list[str] = []

    def connection_for(name: str, base_url: str) -> Connection | None:
        asked.append(name)
        return connection if len(asked) > 2 else None

    house.start(scan_seconds=0.05, connection_for=connection_for).resume_unfinished()
    asyncio.run(soon(lambda: house.states() == ["saved"]))


def test_looking_again_writes_nothing_and_ends_with_the_runner(house: House, service: Service) -> None:
    house.start(scan_seconds=0.01)
    house.run()
    ledger = house.ledger_in_use.database.path
    looked: list[float] = []
    unfinished = house.ledger_in_use.take_over_unfinished
    before = ledger.stat().st_mtime_ns
    house.ledger_in_use.take_over_unfinished = lambda age: looked.append(age) or unfinished(age)  # type: ignore[method-assign,func-returns-value]
    asyncio.run(soon(lambda: len(looked) > 3))
    assert ledger.stat().st_mtime_ns == before
    assert "wan27-runner" in thread_names()
    house.runner.close(1.0)
    assert "wan27-runner" not in thread_names()


def test_closing_lets_a_post_come_back(house: House, service: Service) -> None:
    async def graph() -> None:
        service.answer.clear()
        task = asyncio.ensure_future(house.submit())
        await soon(service.arrived.is_set)
        closing = asyncio.ensure_future(asyncio.to_thread(house.runner.close, 10.0))
        await asyncio.sleep(0)
        service.answer.set()
        await closing
        await asyncio.wait({task})

    asyncio.run(graph())
    assert house.states() == ["submitted"]


def test_closing_leaves_a_silent_post_in_doubt(house: House, service: Service) -> None:
    async def graph() -> None:
        service.answer.clear()
        task = asyncio.ensure_future(house.submit())
        await soon(service.arrived.is_set)
        await asyncio.to_thread(house.runner.close, 0.1)
        await asyncio.wait({task})

    asyncio.run(graph())
    assert house.states() == ["unknown"]
    house.start()
    with pytest.raises(OutcomeUnknownError):
        house.run()


def test_a_hundred_tasks_with_random_trouble(house: House, service: Service, tmp_path: Path) -> None:
    rate_limit = {"kind": "rate_limit", "retry_after": 0}
    polls: list[dict[str, Any]] = [{"kind": "server_error"}, {"kind": "cut"}, rate_limit]
    downloads = {"server_error": 0.08, "cut": 0.17, "ignore_range": 0.08}
    service.faults(
        *({"at": "submit", **rate_limit} if i % 5 == 0 else {"at": "submit", "kind": "ok"} for i in range(60)),
        *({"at": "result", "probability": 0.035, "seed": 4, **poll} for poll in polls),
        *({"at": "download", "kind": kind, "probability": share, "seed": 4} for kind, share in downloads.items()),
    )
    finished = house.run(*(house.order(seed=seed) for seed in range(100)))
    assert len(service.accepted()) == 100
    assert len({item.path for item in finished}) == len(house.videos) == 100
    assert all(item.path.read_bytes() == service.video(item.info["task_id"]) for item in finished)
