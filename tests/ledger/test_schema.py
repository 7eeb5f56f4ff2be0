"""A ledger that an earlier version of the pack wrote is continued, and nothing in it is paid for twice."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from pathlib import Path

from nodes.ledger import Ledger, Upload
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
