"""What the tests of several packages need: a fake service, and a house with a ledger and a runner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nodes.api.connection import Connection
from nodes.api.request import MEDIA_FIELDS, VideoRequest
from nodes.config import Budget, Polling
from nodes.core.backoff import Backoff
from nodes.core.limits import OnRepeat
from nodes.ledger import Ledger
from nodes.runner.lost_answers import Looks
from nodes.runner.models import Finished, Order, Progress, Submitted
from nodes.runner.runner import Runner
from tests.service import Service

PLENTY = Budget(per_run_usd=1000, per_day_usd=1000)
QUICK_LOOKS = Looks((0.02, 0.05, 0.1), (0.1, 0.2, 0.4, 0.8))
QUICK = Backoff(first_seconds=0.02, longest_seconds=0.05, budget_seconds=20.0)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service that finishes tasks at once, without rendering."""
    with Service(tmp_path / "service", rendered=False) as made:
        yield made


class House:
    """A ComfyUI as the runner knows it: a user directory, an output folder, and processes that come and go."""

    def __init__(self, folder: Path, service: Service, connection: Connection | None = None) -> None:
        self.folder, self.service = folder, service
        self.connection = connection or Connection("novita", service.url, "key-of-a-test")
        self.runners: list[Runner] = []
        self.runner = self.start()

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def videos(self) -> list[Path]:
        return sorted((self.output / "wan27").glob("*"))

    def ledger(self, **options: Any) -> Ledger:
        return Ledger(self.folder / "user" / "ledger.sqlite3", **options)

    def start(self, *, budget: Budget = PLENTY, **options: Any) -> Runner:
        self.ledger_in_use = self.ledger(clock=options.pop("wall_clock", time.time))
        self.runner = Runner(
            ledger=self.ledger_in_use,
            output_dir=self.output,
            polling=Polling(0.02, 0.1),
            budget=budget,
            connection_for=options.pop("connection_for", lambda name, base_url: self.connection),
            not_delivered=options.pop("not_delivered", QUICK),
            free=QUICK,
            looks=options.pop("looks", QUICK_LOOKS),
            **options,
        )
        self.runners.append(self.runner)
        return self.runner

    def order(
        self,
        seed: int = 1,
        on_repeat: OnRepeat = "reuse",
        prompt_id: str = "run",
        node_id: str = "",
        workflow: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Order:
        """Return an order for a short video; of the first frame alone, unless `fields` name other media."""
        media = {} if fields.keys() & set(MEDIA_FIELDS) else {"image_url": "https://x.test/a.png"}
        values = {"prompt": "waves", "duration": 2, "resolution": "720P", "seed": seed}
        request = VideoRequest(**{**values, **media, **fields})
        return Order(request, self.connection, on_repeat, prompt_id, node_id, workflow)

    async def submit(self, *orders: Order) -> list[Submitted]:
        return await self.runner.submit_batch(orders or [self.order()])

    async def wait(
        self, task_id: str, on_update: Callable[[Progress], None] = lambda _: None, timeout: float | None = 120
    ) -> Finished:
        return await self.runner.wait(task_id, connection=self.connection, on_update=on_update, timeout_seconds=timeout)

    async def make(self, *orders: Order) -> list[Finished]:
        """Submit and wait, as a graph does."""
        submitted = await self.submit(*orders)
        return await asyncio.gather(*(self.wait(item.task_id) for item in submitted))

    def run(self, *orders: Order) -> list[Finished]:
        return asyncio.run(self.make(*orders))

    def states(self) -> list[str]:
        return [record.state for record in reversed(self.ledger().task_list.page(limit=200).records)]

    def close(self) -> None:
        for runner in self.runners:
            runner.close(1.0)


@pytest.fixture
def house(tmp_path: Path, service: Service) -> Iterator[House]:
    made = House(tmp_path, service)
    yield made
    made.close()
