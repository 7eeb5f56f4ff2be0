"""What was paid for is never lost and never paid for twice, inside one process."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from nodes.core.errors import OutcomeUnknownError, SettingsError, WaitTimeoutError
from nodes.core.redaction import URL_LOGGERS
from nodes.ledger import Ledger
from nodes.runner.models import Progress
from tests.fixtures import House
from tests.runner.conftest import content, soon
from tests.service import Service, at


def test_runner_fetches_the_video_and_reports_progress(house: House, service: Service) -> None:
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


def test_wait_ends_at_once_and_the_video_is_fetched_all_the_same(house: House, service: Service) -> None:
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


def test_runner_sends_no_key_to_result_hosts_and_logs_no_link(
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


def test_runner_names_the_variables_of_an_unusable_http_setup(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    with pytest.raises(SettingsError, match="SSL_CERT_FILE"):
        house.start()


def test_close_waits_for_a_post_on_its_way(house: House, service: Service) -> None:
    async def graph() -> None:
        service.answer.clear()
        task = asyncio.ensure_future(house.submit())
        await soon(service.arrived.is_set)
        closing = asyncio.ensure_future(asyncio.to_thread(house.runner.close, 60.0))
        await soon(lambda: house.runner._tracker._closing)
        service.answer.set()
        await closing
        await asyncio.wait({task})

    asyncio.run(graph())
    assert house.states() == ["submitted"]


def test_close_sends_nothing_that_was_still_being_reserved(
    house: House, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    claiming, go_on = threading.Event(), threading.Event()
    claim = Ledger.claim

    def slow(self: Ledger, *args: Any, **kwargs: Any) -> Any:
        claimed = claim(self, *args, **kwargs)
        if service.arrived.is_set():
            claiming.set()
            assert go_on.wait(60)
        return claimed

    monkeypatch.setattr(Ledger, "claim", slow)

    async def graph() -> None:
        service.answer.clear()
        first = asyncio.ensure_future(house.submit())
        await soon(service.arrived.is_set)
        second = asyncio.ensure_future(house.submit(house.order(seed=2)))
        await soon(claiming.is_set)
        closing = asyncio.ensure_future(asyncio.to_thread(house.runner.close, 60.0))
        await soon(lambda: house.runner._tracker._closing)
        go_on.set()
        with pytest.raises(WaitTimeoutError, match="shutting down; nothing was sent"):
            await second
        service.answer.set()
        await closing
        await asyncio.wait({first})

    asyncio.run(graph())
    assert house.states() == ["submitted", "failed"]
    assert len(service.accepted()) == 1


def test_close_leaves_a_post_without_an_answer_unknown(house: House, service: Service) -> None:
    async def graph() -> None:
        service.answer.clear()
        task = asyncio.ensure_future(house.submit())
        await soon(service.arrived.is_set)
        await asyncio.to_thread(house.runner.close, 0.1)
        await asyncio.wait({task})

    asyncio.run(graph())
    assert house.states() == ["unknown"]
    house.start()
    with pytest.raises(OutcomeUnknownError, match="ComfyUI ended while the request was on its way"):
        house.run()


def test_runner_finishes_a_hundred_tasks_with_random_errors(house: House, service: Service, tmp_path: Path) -> None:
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
