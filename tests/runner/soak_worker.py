"""A process that requests many videos at once, and is killed by the soak test at any moment.

    python -m tests.runner.soak_worker FOLDER BASE_URL FIRST END        one task for each seed in [FIRST, END)

Prints "ready" before the first request, and at the end one JSON line: for each seed its file, or the error's class.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from nodes.api.connection import Connection
from nodes.config import Budget, Polling
from nodes.core.backoff import Backoff
from nodes.core.errors import OutcomeUnknownError, Wan27Error
from nodes.ledger import Ledger
from nodes.runner.models import Order
from nodes.runner.runner import Runner
from tests.runner.driver import order

ATTEMPTS = 5


async def one(runner: Runner, base_url: str, seed: int) -> str:
    """Return the file of a task, or the class of the error that a user would see."""
    outcome = ""
    for _ in range(ATTEMPTS):
        outcome = await attempt(runner, order("https://x.test/a.png", base_url, seed))
        if not outcome.startswith("again: "):
            break
    return outcome


async def attempt(runner: Runner, wanted: Order) -> str:
    try:
        [submitted] = await runner.submit_batch([wanted])
        finished = await runner.wait(
            submitted.task_id, connection=wanted.connection, on_update=lambda _: None, timeout_seconds=60
        )
    except OutcomeUnknownError as error:
        return type(error).__name__
    except Wan27Error as error:
        return f"again: {type(error).__name__}: {error}"
    return str(finished.path)


async def every(runner: Runner, base_url: str, seeds: range) -> dict[int, str]:
    outcomes = await asyncio.gather(*(one(runner, base_url, seed) for seed in seeds))
    return dict(zip(seeds, outcomes, strict=True))


def main(folder: Path, base_url: str, seeds: range) -> None:
    quick = Backoff(0.02, 0.05, 20.0)
    runner = Runner(
        ledger=Ledger(folder / "user" / "ledger.sqlite3"),
        output_dir=folder / "output",
        polling=Polling(0.02, 0.1),
        budget=Budget(10_000, 10_000),
        connection_for=lambda name, base_url: Connection(name, base_url, "key"),
        not_delivered=quick,
        free=quick,
    )
    runner.resume_unfinished()
    print("ready", flush=True)
    outcomes = asyncio.run(every(runner, base_url, seeds))
    runner.close()
    print(json.dumps(outcomes), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], range(int(sys.argv[3]), int(sys.argv[4])))
