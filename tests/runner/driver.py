"""A ComfyUI process as far as money goes: uploads an image, requests one video, waits, and meets what a test chooses.

    python -m tests.runner.driver FOLDER BASE_URL [ACTION:POINT …]      FOLDER holds user/ and output/

Prints one JSON line: {"task_id": …, "file": …} or {"error": class, "text": …}. The points are those of
tests/crash_points.py, the actions:
    kill      SIGKILL
    halt      prints "halted" and stays there, alive, until it is killed
    full      from there on the disk is full: for the ledger, the recovery log and the download
    locked    from there on another program holds the ledger
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from nodes.api import download
from nodes.api.connection import Connection
from nodes.api.request import VideoRequest
from nodes.comfy.node_cache import NodeCache
from nodes.comfy.upload_pipeline import UploadPipeline
from nodes.config import Budget, Polling
from nodes.core.backoff import Backoff
from nodes.core.errors import Wan27Error
from nodes.ledger import Ledger
from nodes.ledger.database import Database
from nodes.media.files import describe
from nodes.runner.models import Order
from nodes.runner.runner import Runner
from nodes.storage.sandbox import SandboxStorage
from tests.crash_points import POINTS, RECOVERY_POINTS, arm

RECOVERY_LOG = Path("user", "ledger-rescue.jsonl")


class _Disk(NamedTuple):
    free: int = 0


def die() -> None:
    os.kill(os.getpid(), 9)  # Windows has no name for it


def halt() -> None:
    print("halted", flush=True)
    while True:
        time.sleep(60)


def fill_disk(folder: Path) -> None:
    """Refuse every write from now on, as a full disk does."""

    @contextlib.contextmanager
    def writing(self: Database) -> Iterator[sqlite3.Connection]:
        with self._explained():
            raise sqlite3.OperationalError("database or disk is full")
        yield

    def open_file(path: Any, *arguments: Any, **options: Any) -> int:
        if path == folder / RECOVERY_LOG:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original_open(path, *arguments, **options)

    original_open = os.open
    os.open = open_file
    Database.writing = writing  # type: ignore[method-assign]
    download.shutil.disk_usage = lambda path: _Disk()  # type: ignore[attr-defined]


def lock_ledger(folder: Path, locks: list[sqlite3.Connection]) -> None:
    lock = sqlite3.connect(folder / "user" / "ledger.sqlite3", isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN EXCLUSIVE")
    locks.append(lock)


def actions(folder: Path) -> dict[str, Callable[[], None]]:
    return {
        "kill": die,
        "halt": halt,
        "full": partial(fill_disk, folder),
        "locked": partial(lock_ledger, folder, []),
    }


def order(image_url: str, base_url: str, seed: int) -> Order:
    request = VideoRequest(prompt="waves", image_url=image_url, resolution="720P", duration=2, seed=seed)
    return Order(request, Connection("novita", base_url, "key"))


async def graph(runner: Runner, ledger: Ledger, folder: Path, base_url: str) -> dict[str, Any]:
    image = folder / f"frame-{os.getpid()}.png"  # of its own: processes side by side share the folder
    image.write_bytes(b"the bytes of an image")
    storage = SandboxStorage(base_url)
    pipeline = UploadPipeline(NodeCache())
    [(url, _)] = await pipeline.upload([lambda job, directory: describe(image)], storage=storage, ledger=ledger)
    wanted = order(url, base_url, 1)
    [submitted] = await runner.submit_batch([wanted])
    finished = await runner.wait(
        submitted.task_id, connection=wanted.connection, on_update=lambda _: None, timeout_seconds=60
    )
    return {"task_id": submitted.task_id, "file": str(finished.path)}


def main(folder: Path, base_url: str, chosen: list[str]) -> None:
    do = actions(folder)
    for one in chosen:
        action, _, point = one.partition(":")
        arm({**POINTS, **RECOVERY_POINTS}[point], do[action], lambda name: importlib.import_module(f"nodes.{name}"))
    quick = Backoff(0.02, 0.05, 20.0)
    ledger = Ledger(folder / "user" / "ledger.sqlite3", busy_seconds=0.2 if chosen else 10.0)
    runner = Runner(
        ledger=ledger,
        output_dir=folder / "output",
        polling=Polling(0.02, 0.1),
        budget=Budget(100, 100),
        not_delivered=quick,
        free=quick,
    )
    try:
        answer = asyncio.run(graph(runner, ledger, folder, base_url))
    except Wan27Error as error:
        answer = {"error": type(error).__name__, "text": str(error)}
    print(json.dumps(answer), flush=True)
    runner.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
