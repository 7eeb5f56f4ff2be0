from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nodes.sandbox.store import Store
from tests.systems import refuse_deletions

ROOT = Path(__file__).resolve().parents[2]
DAY = 86_400.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    opened.process_lock.acquire()
    yield opened
    opened.process_lock.release()


def make_task(store: Store, *, age: float = 0.0, outcome: str = "succeed", owner: str = "", size: int = 100) -> str:
    """Create a task with a media file and a result of its own."""
    task_id = str(uuid.uuid4())
    medium = store.keep_bytes(task_id.encode() * (size // 36 + 1))
    store.result(task_id).write_bytes(bytes(size))
    for path in (store.media(medium), store.result(task_id)):
        os.utime(path, (time.time() - age, time.time() - age))
    store.write_task(
        {
            "task_id": task_id,
            "owner": owner or store.process_lock.token,
            "submitted_ms": (time.time() - age) * 1000,
            "outcome": outcome,
            "result": task_id,
            "media": {"image_url": medium},
        }
    )
    return task_id


def prune(store: Store, **options: Any) -> None:
    store.prune(**{"keep_seconds": DAY, "max_bytes": 10**9, **options})


def test_prune_deletes_old_tasks(store: Store) -> None:
    old, young = make_task(store, age=DAY + 60), make_task(store, age=DAY - 60)
    prune(store)
    assert store.task(old) is None
    assert store.task(young) is not None
    assert store.result(young).exists()
    assert not store.result(old).exists()


def test_prune_keeps_running_tasks(store: Store) -> None:
    running = make_task(store, age=2 * DAY, outcome="")
    abandoned = make_task(store, age=2 * DAY, outcome="", owner=uuid.uuid4().hex)
    prune(store, max_bytes=0)
    assert store.task(running) is not None
    assert store.result(running).exists()
    assert store.task(abandoned) is None


def test_prune_deletes_the_oldest_beyond_the_size_limit(store: Store) -> None:
    ids = [make_task(store, age=10_000 - index * 1000, size=36_000) for index in range(4)]
    prune(store, max_bytes=150_000)
    assert [store.task(task_id) is not None for task_id in ids] == [False, False, True, True]
    prune(store, max_bytes=150_000)
    assert [store.task(task_id) is not None for task_id in ids] == [False, False, True, True]


def test_prune_deletes_expired_uploads_with_their_files(store: Store) -> None:
    def upload(data: bytes, seconds: float) -> tuple[str, str]:
        sha256 = store.keep_bytes(data)
        os.utime(store.media(sha256), (time.time() - 2000, time.time() - 2000))
        return store.add_upload(sha256=sha256, mime="image/png", seconds=seconds), sha256

    dead, dead_file = upload(b"dead", -1)
    alive, alive_file = upload(b"alive", 100)
    prune(store, keep_seconds=-10)
    assert store.upload(dead) is None
    assert not store.media(dead_file).exists()
    assert store.upload(alive) is not None
    assert store.media(alive_file).exists()


def test_prune_keeps_new_files_that_nothing_refers_to_yet(store: Store) -> None:
    sha256 = store.keep_bytes(b"just arrived")
    prune(store)
    assert store.media(sha256).exists()


def test_keep_bytes_of_a_known_content_returns_it_while_a_virus_scanner_reads_the_new_file(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = store.keep_bytes(b"twice")
    with monkeypatch.context() as patch:
        refuse_deletions(patch)
        assert store.keep_bytes(b"twice") == sha256
    [left] = (store.root / "temporary").iterdir()
    os.utime(left, (1, 1))
    prune(store)
    assert not left.exists()


def test_task_from_a_broken_file_is_none(store: Store) -> None:
    task_id = make_task(store)
    (store.root / "tasks" / f"{task_id}.json").write_bytes(b'{"task_id"')
    assert store.task(task_id) is None
    assert store.tasks() == []


@pytest.mark.parametrize("name", ["", "..", "../secret", "x" * 5000, "{00000000-0000-0000-0000-000000000000}"])
def test_ids_never_become_paths(store: Store, name: str) -> None:
    assert store.task(name) is None
    assert store.upload(name) is None


def test_secret_is_shared_by_all_stores_of_a_directory(store: Store, tmp_path: Path) -> None:
    assert Store(tmp_path).sign("x") == store.sign("x") != Store(tmp_path / "other").sign("x")


def test_task_is_adopted_when_its_process_was_killed(store: Store) -> None:
    code = (
        "import sys, time; from pathlib import Path; from nodes.sandbox.store import Store\n"
        "s = Store(Path(sys.argv[1])).process_lock; s.acquire(); print(s.token, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(store.root)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        task_id = make_task(store, outcome="", owner=owner)
        assert store.process_lock.is_held_by(owner)
        assert store.adopt(task_id) is None
        process.kill()
        process.wait()
    assert not store.process_lock.is_held_by(owner)
    adopted = store.adopt(task_id)
    assert adopted is not None
    assert adopted["owner"] == store.process_lock.token
    assert store.adopt(task_id) is None


@pytest.mark.parametrize("token", ["con", "NUL", "com1", "aux", "a" * 31, "a" * 33, "a" * 31 + ".", "../" + "a" * 29])
def test_upload_of_a_token_that_is_a_device_or_a_path_is_unknown(
    token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows opens a serial port for com1.json, and reading it never ends."""
    store = Store(tmp_path)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was opened"))
    assert store.upload(token) is None
