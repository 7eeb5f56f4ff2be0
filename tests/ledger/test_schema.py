"""A ledger that an earlier version of the pack wrote is continued, and nothing in it is paid for twice."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import sqlite3
from pathlib import Path

import pytest

from nodes.ledger import Ledger, TaskRecord, Upload
from nodes.ledger.database import Database
from nodes.ledger.schema import MIGRATIONS
from nodes.runner.fingerprint import fingerprint
from nodes.runner.models import service_of
from tests.fixtures import House
from tests.service import Service

FILE, CONTENT = "f" * 64, "c" * 64
URL = "https://bucket.test/a.png?signature=x"


def first_version(path: Path, fingerprint: str, service: str, base_url: str) -> None:
    """One task and one upload, as the first version wrote them."""
    database = Database(path, migrations=MIGRATIONS[:1])
    with database.writing() as db:
        db.execute(
            "INSERT INTO tasks (fingerprint, state, task_id, service, connection, base_url, request, estimate, "
            "counted, run_id, prompt_id, node_id, owner, seed, file, file_size, file_sha256, video, created_at, "
            "submitted_at, saved_at) VALUES (?, 'saved', 'paid-for', ?, 'novita', ?, ?, 0.5, 1, 'run', 'prompt', "
            "'7', 'owner', 3, 'wan27/a.mp4', 12, 'ab', '{}', 1000.0, 1001.0, 1002.0)",
            (fingerprint, service, base_url, '{"prompt": "waves"}'),
        )
        db.execute(
            "INSERT INTO uploads VALUES (?, ?, ?, 'image', 's3', NULL, NULL, 1000.0)",
            (hashlib.sha256(URL.encode()).hexdigest(), URL, FILE),
        )
    database.close()


def test_version_1_loses_nothing(path: Path) -> None:
    first_version(path, "old", "novita https://x", "https://x")
    with sqlite3.connect(path) as db:
        before = {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in ("tasks", "uploads")}
    ledger = Ledger(path)

    record = ledger.find("paid-for", "novita https://x")
    upload = ledger.uploads.by_url(URL)

    assert record is not None and upload is not None
    assert (record.fingerprint, record.state, record.file, record.request) == (
        "old",
        "saved",
        "wan27/a.mp4",
        {"prompt": "waves"},
    )
    assert (upload.sha256, upload.content, upload.url) == (FILE, FILE, URL)
    assert ledger.uploads.find(FILE, "s3", 10**9) == upload
    ledger.close()
    with sqlite3.connect(path) as db:
        for table, rows in before.items():
            after = db.execute(f"SELECT * FROM {table}").fetchall()
            assert [row[: len(old)] for row, old in zip(after, rows, strict=True)] == rows
    with sqlite3.connect(path.with_name("ledger.version1.sqlite3")) as db:
        assert db.execute("SELECT * FROM uploads").fetchall() == before["uploads"]


def test_version_1_finds_its_tasks_with_todays_encoder_and_the_next(house: House, service: Service, path: Path) -> None:
    """Today's file is the same, so its content becomes known. From then on, another file of that content is enough."""
    order = house.order(image_url=URL)
    connection = house.connection
    first_version(path, fingerprint(order, {URL: FILE}.get), service_of(connection), connection.base_url)

    def upload(url: str, sha256: str) -> None:
        house.ledger_in_use.uploads.add(Upload(url, sha256, CONTENT, "image", "s3"))

    upload(URL, FILE)
    [today] = asyncio.run(house.submit(order))
    upload("https://bucket.test/b.png", "e" * 64)
    [later] = asyncio.run(house.submit(house.order(image_url="https://bucket.test/b.png")))

    assert (today.task_id, later.task_id) == ("paid-for", "paid-for")
    assert service.posts() == []


OLD = Path(__file__).parent / "old"
"""Files that the first two versions wrote: one task in each state, and one upload."""


def rows(path: Path, table: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as db:
        return db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()


@pytest.mark.parametrize("version", [1, 2])
def test_old_file_is_continued_and_keeps_every_value(version: int, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(gzip.decompress((OLD / f"version{version}.sqlite3.gz").read_bytes()))
    before = {table: rows(path, table) for table in ("tasks", "uploads")}
    ledger = Ledger(path)

    records = {record.task_id or record.fingerprint: record for record in ledger.task_list.page().records}
    upload = ledger.uploads.by_url("https://bucket.example/a.png?signature=x")

    states = {name: record.state for name, record in records.items()}
    assert states == {
        "task-saved": "saved",
        "task-submitted": "submitted",
        "task-succeeded": "succeeded",
        "task-failed": "failed",
        "unknown": "unknown",
        "intent": "intent",
    }
    assert all(dict(record.handle) == {} for record in records.values())
    saved = records["task-saved"]
    assert (saved.file, saved.video, saved.seed, saved.request["prompt"]) == (
        "wan27/a.mp4",
        {"seconds": 5.0},
        7,
        "waves saved",
    )
    assert upload is not None and upload.sha256 == "f" * 64
    for table, old in before.items():
        assert [row[: len(values)] for row, values in zip(rows(path, table), old, strict=True)] == old
    ledger.close()
    assert rows(path.with_name(f"ledger.version{version}.sqlite3"), "tasks") == before["tasks"]


@pytest.mark.parametrize("version", [1, 2])
def test_old_file_takes_new_tasks_with_what_their_host_wants_to_be_kept(version: int, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(gzip.decompress((OLD / f"version{version}.sqlite3.gz").read_bytes()))
    ledger = Ledger(path)
    task = TaskRecord("fal https://x", "fal", "https://x", "new", "file new", counted=True)
    [(record, is_new)] = ledger.claim([task], reuse=[True], budget=None)
    ledger.begin_post(record.id)
    ledger.record_task(record.id, "r-1", {"status_url": "https://x/status"})
    assert is_new and ledger.get(record.id).handle == {"status_url": "https://x/status"}
    ledger.close()
