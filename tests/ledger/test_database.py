from __future__ import annotations

import itertools
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from nodes.core.errors import LedgerError
from nodes.ledger import Ledger, database
from nodes.ledger.database import Database
from nodes.ledger.schema import MIGRATIONS
from tests.ledger.helpers import claimed, wanted
from tests.systems import is_private, refuse_opening

NEXT = (*MIGRATIONS, ("ALTER TABLE tasks ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey'", "CREATE TABLE extra (a)"))


def test_database_is_readable_by_its_owner_only(ledger: Ledger, path: Path) -> None:
    claimed(ledger)
    for file in (path, *path.with_name("ledger-locks").iterdir()):
        assert is_private(file)


def test_database_flushes_every_commit_with_its_directory(ledger: Ledger) -> None:
    claimed(ledger)
    with ledger.database.reading() as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 3  # EXTRA
        assert db.execute("PRAGMA fullfsync").fetchone()[0] == 1  # for macOS


def test_database_is_not_opened_again_on_a_file_system_that_does_not_number_files(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Windows neither moves nor deletes an open file, so nothing has to be compared there."""
    numbers = itertools.count()
    monkeypatch.setattr(database, "_OPEN_FILES_CAN_BE_MOVED", False)
    monkeypatch.setattr(database, "_identity", lambda path: (1, next(numbers)))
    assert claimed(ledger)[0].is_new and not claimed(ledger)[0].is_new
    assert caplog.messages == []


def test_database_stays_open_in_a_transaction_on_a_file_system_that_renumbers_files(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim reads what was spent within its transaction; exFAT on macOS and some network drives renumber files."""
    numbers = itertools.count()
    monkeypatch.setattr(database, "_OPEN_FILES_CAN_BE_MOVED", True)
    monkeypatch.setattr(database, "_identity", lambda path: (1, next(numbers)))
    [mine] = claimed(ledger)
    ledger.begin_post(mine.record.id)
    ledger.record_task(mine.record.id, "paid-for")
    [found] = claimed(ledger)
    assert (mine.is_new, found.is_new, found.record.task_id) == (True, False, "paid-for")


def test_database_waits_for_a_program_that_holds_the_file(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = refuse_opening(path, monkeypatch)
    assert claimed(ledger)[0].is_new
    assert left == []


def broken(path: Path, kind: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "garbage":
        path.write_bytes(b"not a database at all " * 200)
        return
    good = Ledger(path)
    for number in range(40):
        claimed(good, wanted(f"fingerprint number {number}" * 10))
    good.close()
    content = bytearray(path.read_bytes())
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "overwritten":
        content[4096:12_288] = b"\xff" * 8192
        path.write_bytes(content)
    else:
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 999" if kind == "newer" else "PRAGMA application_id = 7")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("garbage", "is damaged"),
        ("truncated", "is damaged"),
        ("overwritten", "is damaged"),
        ("newer", "newer version.*Update the pack"),
        ("foreign", "another program"),
    ],
)
def test_database_leaves_a_file_alone_that_it_cannot_trust(path: Path, kind: str, text: str) -> None:
    broken(path, kind)
    before = path.read_bytes()
    ledger = Ledger(path)
    for attempt in (
        lambda: claimed(ledger),
        ledger.recover,
        lambda: ledger.find("t", ""),
        lambda: ledger.uploads.by_url("u"),
    ):
        with pytest.raises(LedgerError, match=text):
            attempt()
    ledger.close()
    assert path.read_bytes() == before


def test_database_works_again_after_it_was_locked(ledger: Ledger, path: Path) -> None:
    claimed(ledger, wanted("first"))
    blocked = Ledger(path, busy_seconds=0.05)
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerError, match="locked by another program"):
            claimed(blocked)
        holder.execute("ROLLBACK")
    assert claimed(blocked)[0].is_new
    blocked.close()


def test_database_in_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"lock file|cannot be"):
        claimed(Ledger(tmp_path / "file" / "ledger.sqlite3"))
    (tmp_path / "ledger.sqlite3").mkdir()
    with pytest.raises(LedgerError, match="cannot be opened for writing"):
        claimed(Ledger(tmp_path / "ledger.sqlite3"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everything")
def test_database_that_is_read_only_is_an_error(ledger: Ledger, path: Path) -> None:
    claimed(ledger)
    ledger.close()
    path.chmod(0o400)
    with pytest.raises(LedgerError, match="writable"):
        claimed(ledger, wanted("new"))


def test_database_that_becomes_read_only_takes_no_post(ledger: Ledger) -> None:
    [mine] = claimed(ledger)
    with ledger.database.reading() as db:
        db.execute("PRAGMA query_only = ON")
    with pytest.raises(LedgerError, match="Make the file and its folder writable"):
        ledger.begin_post(mine.record.id)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not move a file that is open")
def test_database_that_was_moved_away_takes_no_post(ledger: Ledger, path: Path) -> None:
    [mine] = claimed(ledger)
    path.rename(path.with_name("moved.sqlite3"))
    with pytest.raises(LedgerError):
        ledger.begin_post(mine.record.id)
    assert claimed(ledger)[0].is_new  # a new one was begun


def columns(database: Database) -> set[str]:
    with database.reading() as db:
        return {row["name"] for row in db.execute("PRAGMA table_info(tasks)")}


def test_migration_upgrades_an_older_file_and_keeps_a_copy(ledger: Ledger, path: Path) -> None:
    claimed(ledger, wanted("old"))
    ledger.close()
    newer = Database(path, migrations=NEXT)
    assert "colour" in columns(newer)
    with newer.reading() as db:
        assert db.execute("SELECT fingerprint, colour FROM tasks").fetchone()[:] == ("old", "grey")
    newer.close()
    copy = path.with_name(f"ledger.version{len(MIGRATIONS)}.sqlite3")
    assert is_private(copy)
    with sqlite3.connect(copy) as db:
        assert db.execute("SELECT fingerprint FROM tasks").fetchone() == ("old",)


def test_migration_that_fails_changes_nothing(ledger: Ledger, path: Path) -> None:
    claimed(ledger, wanted("old"))
    ledger.close()
    wrong = (*MIGRATIONS, ("ALTER TABLE tasks ADD COLUMN colour TEXT", "THIS IS NO SQL"))
    with pytest.raises(LedgerError):
        columns(Database(path, migrations=wrong))
    assert "colour" not in columns(Database(path))
    assert claimed(ledger, wanted("old"))[0].is_new is False


def test_database_that_is_new_has_the_newest_version(ledger: Ledger) -> None:
    claimed(ledger)
    with ledger.database.reading() as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
