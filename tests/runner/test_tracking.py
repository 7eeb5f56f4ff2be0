from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from nodes.api.connection import Connection
from nodes.config import Budget
from nodes.core.errors import (
    AuthenticationError,
    BudgetError,
    LedgerError,
    OutcomeUnknownError,
    RequestError,
)
from nodes.ledger import Upload
from nodes.runner.models import Order
from tests.fixtures import House
from tests.runner.conftest import content, soon
from tests.service import Service, at


def test_submit_reuses_the_same_request_without_network(house: House, service: Service) -> None:
    [first] = house.run()
    before = service.count.copy()
    [again] = house.run()
    assert again.path == first.path
    assert service.count == before


def test_submit_sends_equal_requests_once(house: House, service: Service) -> None:
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


def test_submit_again_makes_another_task_each_time(house: House, service: Service) -> None:
    again = house.order(on_repeat="submit_again")
    house.run(house.order())
    house.run(again, again)
    assert len(service.accepted()) == 3
    house.run(house.order())
    assert len(service.accepted()) == 3


def test_submit_again_pays_once_in_each_prompt_of_a_node(house: House, service: Service) -> None:
    def again(prompt_id: str) -> Order:
        return house.order(on_repeat="submit_again", prompt_id=prompt_id, node_id="3")

    async def graph() -> None:
        service.answer.clear()
        first = asyncio.ensure_future(house.submit(again("one"), again("one")))
        await soon(lambda: len(service.accepted()) == 2)
        meanwhile = asyncio.ensure_future(house.submit(again("one")))  # from another iteration of a loop
        await asyncio.sleep(0.1)
        service.answer.set()
        tasks = [item.task_id for item in await first]
        [joined] = await meanwhile
        later = await house.submit(again("one"), again("one"))
        assert [joined.task_id, *(item.task_id for item in later)] == [tasks[0], *tasks]
        assert all(item.estimated_cost == 0 and "queue again" in item.note for item in (joined, *later))
        await house.submit(again("two"))

    asyncio.run(graph())
    assert len(service.accepted()) == 3
    assert house.ledger().spent("one")[0] == pytest.approx(0.4)


def test_submit_again_in_the_same_prompt_never_repeats_a_lost_answer(house: House, service: Service) -> None:
    service.faults(*at("submit", "lost_answer"))
    lost = house.order(on_repeat="submit_again", prompt_id="one", node_id="3")
    for _ in range(3):
        with pytest.raises(OutcomeUnknownError, match=r"paste its task id.*queue again with .*submit_again"):
            house.run(lost)
    assert service.count["submit"] == 1
    house.run(house.order(on_repeat="submit_again", prompt_id="two", node_id="3"))
    assert service.count["submit"] == 2


def test_submit_stops_a_batch_with_an_unknown_outcome_before_the_post(house: House, service: Service) -> None:
    service.faults(*at("submit", "lost_answer"))
    with pytest.raises(OutcomeUnknownError):
        house.run(house.order(seed=2))
    with pytest.raises(OutcomeUnknownError, match="Request 2 of 3"):
        house.run(house.order(seed=1), house.order(seed=2), house.order(seed=3))
    assert service.count["submit"] == 1


def test_submit_sends_nothing_of_a_batch_if_one_request_cannot_be_encoded(house: House, service: Service) -> None:
    orders = [house.order(seed=1), house.order(prompt="two \ud83d"), house.order(seed=3)]
    with pytest.raises(RequestError, match=r"Request 2 of 3: .*surrogates not allowed.*Change its texts"):
        house.run(*orders)
    assert (service.count["submit"], house.states()) == (0, [])


def test_submit_without_a_key_reserves_nothing(house: House, service: Service) -> None:
    house.connection = Connection("novita", service.url, "")
    with pytest.raises(AuthenticationError, match=r"Request 1 of 2: No API key"):
        house.run(house.order(seed=1), house.order(seed=2))
    assert (service.count["submit"], house.states()) == (0, [])


def test_submit_continues_a_batch_when_one_answer_is_lost(house: House, service: Service) -> None:
    service.faults(*at("submit", "lost_answer"))
    orders = [house.order(seed=seed) for seed in range(4)]

    async def graph() -> None:
        with pytest.raises(OutcomeUnknownError, match="of 4"):
            await house.submit(*orders)
        await soon(lambda: house.states().count("saved") == 3)

    asyncio.run(graph())
    assert service.count["submit"] == 4


def test_submit_cancelled_during_the_post_loses_nothing(house: House, service: Service) -> None:
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


def test_submit_cancelled_withdraws_what_was_not_sent(house: House, service: Service) -> None:
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


def test_submit_cancelled_while_the_ledger_reserves_withdraws_the_reservation(house: House, service: Service) -> None:
    claim = house.ledger_in_use.claim
    reserved, go_on = threading.Event(), threading.Event()

    def slow_claim(*args: Any, **kwargs: Any) -> Any:
        claimed = claim(*args, **kwargs)
        reserved.set()
        assert go_on.wait(60)
        return claimed

    house.ledger_in_use.claim = slow_claim  # type: ignore[method-assign]

    async def interrupted() -> None:
        task = asyncio.ensure_future(house.submit(house.order(1), house.order(2)))
        await soon(reserved.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert house.states() == ["intent", "intent"]
        go_on.set()
        await soon(lambda: house.states() == ["failed", "failed"])

    asyncio.run(interrupted())
    assert service.count["submit"] == 0
    assert house.ledger().spent("run") == (0.0, 0.0)


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


def test_budget_reserves_the_upper_estimate_of_a_clip(house: House, service: Service) -> None:
    house.ledger_in_use.uploads.add(Upload("https://x.test/c.mp4", "sha", "content", "video", "s3", seconds=3.0))
    known = house.order(duration=5, first_clip_url="https://x.test/c.mp4")
    unknown = house.order(duration=5, first_clip_url="https://x.test/d.mp4")
    made = asyncio.run(house.submit(known, unknown, house.order(duration=5)))
    assert [item.estimated_cost for item in made] == pytest.approx([0.8, 1.0, 0.5])
    assert [item.note for item in made] == ["estimated $0.50 to $0.80", "estimated $0.50 to $1.00", ""]
    assert house.ledger().spent("run")[0] == pytest.approx(2.3)


def test_budget_of_a_day_counts_unknown_outcomes(house: House, service: Service) -> None:
    house.start(budget=Budget(per_run_usd=100, per_day_usd=0.5))
    house.run(house.order(seed=1, prompt_id="a"))
    service.faults(*at("submit", "lost_answer"))
    with pytest.raises(OutcomeUnknownError):
        house.run(house.order(seed=2, prompt_id="b"))
    with pytest.raises(BudgetError, match=r"\$0\.40 were used today.*per_day_usd"):
        house.run(house.order(seed=3, prompt_id="c"))
    assert service.count["submit"] == 2


def test_submit_with_a_damaged_ledger_sends_nothing(house: House, service: Service) -> None:
    path = house.ledger().database.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"not a database, but the user may want it back" * 100)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=r"damaged.*Nothing was sent"):
        house.run()
    assert path.read_bytes() == before
    assert service.count["submit"] == 0


def test_resume_unfinished_continues_what_an_earlier_process_left(house: House, service: Service) -> None:
    service.finish.clear()
    asyncio.run(house.submit(house.order(1), house.order(2)))
    house.runner.close(1.0)
    service.finish.set()
    house.start().resume_unfinished()
    asyncio.run(soon(lambda: house.states() == ["saved", "saved"]))
    assert len(service.accepted()) == 2


def test_batch_with_an_upload_that_has_expired_is_refused_before_its_first_post(house: House, service: Service) -> None:
    now = [1e9]
    house.start(wall_clock=lambda: now[0])
    for name, end in (("lives", None), ("expires", 1e9 + 3600)):
        upload = Upload(f"https://x.test/{name}.png", name.ljust(64, "0"), name.ljust(64, "1"), "image", "s3", end)
        house.ledger_in_use.uploads.add(upload)
    lives, expires = (house.order(image_url=f"https://x.test/{name}.png") for name in ("lives", "expires"))
    asyncio.run(house.submit(expires))
    now[0] += 3601
    again = replace(expires, request=replace(expires.request, seed=2))
    with pytest.raises(RequestError, match=r"Request 2 of 2: The file behind image_url was .* has expired"):
        asyncio.run(house.submit(lives, again))
    assert len(service.posts()) == 1
    assert len(house.states()) == 1
    [found] = asyncio.run(house.submit(expires))  # its task exists, so the file is not needed
    assert found.reused
