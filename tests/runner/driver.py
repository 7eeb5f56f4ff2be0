"""A ComfyUI process as far as money goes: requests one video, waits, and dies or halts at the moment a test chooses.

    python -m tests.runner.driver FOLDER BASE_URL [POINT]      FOLDER holds user/ and output/

Prints one JSON line: {"task_id": …, "file": …} or {"error": class, "text": …}. At POINT it kills itself with SIGKILL;
with "halt:POINT" it prints "halted" and stays there, alive, until it is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nodes.api.client import ServiceClient
from nodes.api.connection import Connection
from nodes.api.request import VideoRequest
from nodes.config import Budget, Polling
from nodes.core.backoff import Backoff
from nodes.core.errors import Wan27Error
from nodes.ledger import Ledger
from nodes.runner.models import Order
from nodes.runner.runner import Runner

POINTS: dict[str, tuple[type[Any], str, str]] = {
    "reserved": (Ledger, "claim", "after"),
    "before the mark": (Ledger, "begin_post", "before"),
    "after the mark": (Ledger, "begin_post", "after"),
    "answered": (Ledger, "record_task", "before"),
    "recorded": (Ledger, "record_task", "after"),
    "first poll": (ServiceClient, "result", "before"),
    "succeeded": (Ledger, "record_result", "before"),
    "link recorded": (Ledger, "record_result", "after"),
    "renamed": (Ledger, "record_saved", "before"),
    "saved": (Ledger, "record_saved", "after"),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def halt() -> None:
    print("halted", flush=True)
    while True:
        time.sleep(60)


def arm(point: str, act: Callable[[], None]) -> None:
    """Have `act` happen at a point, by wrapping a method: nothing that ships knows of it."""
    owner, name, when = POINTS[point]
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            act()
        result = original(*args, **kwargs)
        if when == "after":
            act()
        return result

    setattr(owner, name, wrapped)


def order(base_url: str, seed: int) -> Order:
    request = VideoRequest(prompt="waves", image_url="https://x.test/a.png", resolution="720P", duration=2, seed=seed)
    return Order(request, Connection("novita", base_url, "key"))


async def graph(runner: Runner, wanted: Order) -> dict[str, Any]:
    [submitted] = await runner.submit_batch([wanted])
    finished = await runner.wait(
        submitted.task_id, connection=wanted.connection, on_update=lambda _: None, timeout_seconds=60
    )
    return {"task_id": submitted.task_id, "file": str(finished.path)}


def main(folder: Path, base_url: str, point: str) -> None:
    if point:
        halting = point.startswith("halt:")
        arm(point.removeprefix("halt:"), halt if halting else die)
    quick = Backoff(0.02, 0.05, 20.0)
    runner = Runner(
        ledger=Ledger(folder / "user" / "ledger.sqlite3"),
        output_dir=folder / "output",
        polling=Polling(0.02, 0.1),
        budget=Budget(100, 100),
        not_delivered=quick,
        free=quick,
    )
    try:
        answer = asyncio.run(graph(runner, order(base_url, 1)))
    except Wan27Error as error:
        answer = {"error": type(error).__name__, "text": str(error)}
    runner.close()
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "")
