from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nodes.config.settings import Budget
from nodes.core.errors import BudgetError, LedgerError
from nodes.ledger import Ledger, TaskRecord, UnresolvedRequestsError, Upload
from nodes.ledger.database import Database
from nodes.ledger.schema import MIGRATIONS
from nodes.runner.output_files import finished

REPO = Path(__file__).resolve().parents[2]


def wanted(fingerprint: str = "f", **values: Any) -> TaskRecord:
    """A request, as the runner asks the ledger for its record."""
    made = TaskRecord(
        "novita https://x", "novita", "https://x", fingerprint, f"file {fingerprint}", estimate=1.0, counted=True,
        run_id="run", prompt_id="prompt", node_id="node",
    )  # fmt: skip
    return replace(made, **values)


class Claimed(NamedTuple):
    row: TaskRecord
    new: bool


def claimed(ledger: Ledger, *records: TaskRecord, reuse: bool = True, budget: Budget | None = None) -> list[Claimed]:
    records = records or (wanted(),)
    return [Claimed(*one) for one in ledger.claim(records, reuse=[reuse] * len(records), budget=budget)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "user" / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    made = Ledger(path)
    yield made
    made.close()


@pytest.fixture
def other(path: Path) -> Iterator[Ledger]:
    """The same file in another process, as far as the ledger can tell."""
    made = Ledger(path)
    made.recover()
    yield made
    made.close()


def adopt(ledger: Ledger, task_id: str = "t") -> int:
    task = TaskRecord("novita https://x", "novita", "https://x", state="submitted", task_id=task_id, submitted_at=1.0)
    return ledger.adopt(task).id


def test_only_its_owner_can_read_it(ledger: Ledger, path: Path) -> None:
    claimed(ledger)
    for file in (path, *path.with_name("ledger-locks").iterdir()):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_every_commit_is_flushed_with_its_directory(ledger: Ledger) -> None:
    claimed(ledger)
    with ledger.database.reading() as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 3  # EXTRA


def test_an_intent_belongs_to_one_process_while_it_lives(ledger: Ledger, other: Ledger) -> None:
    [mine] = claimed(ledger)
    [theirs] = claimed(other)
    assert (mine.new, theirs.new) == (True, False)
    assert theirs.row.id == mine.row.id
    other.recover()
    assert other.get(mine.row.id).state == "intent"
    with pytest.raises(LedgerError, match="another process"):
        other.begin_post(mine.row.id)
    ledger.begin_post(mine.row.id)
    ledger.record_task(mine.row.id, "t1")
    assert claimed(other)[0].row.task_id == "t1"


def test_an_intent_that_was_never_sent_is_free_after_its_process(ledger: Ledger, other: Ledger) -> None:
    [mine] = claimed(ledger)
    ledger.process_lock.release()
    [theirs] = claimed(other)
    assert theirs.new
    assert theirs.row.id != mine.row.id
    with pytest.raises(LedgerError):
        ledger.begin_post(mine.row.id)  # should it not be dead after all, it finds that out before the POST
    assert other.spent("run")[0] == 1.0


def test_an_intent_that_is_known_by_its_files_only_is_settled_as_well(ledger: Ledger, other: Ledger) -> None:
    [mine] = claimed(ledger)
    ledger.begin_post(mine.row.id)
    ledger.process_lock.release()
    with pytest.raises(UnresolvedRequestsError):
        claimed(other, wanted("seen anew", file_fingerprint="file f"))
    assert other.get(mine.row.id).state == "unknown"


def test_an_intent_that_may_have_been_sent_is_in_doubt_after_its_process(ledger: Ledger, other: Ledger) -> None:
    [mine] = claimed(ledger)
    ledger.begin_post(mine.row.id)
    ledger.process_lock.release()
    with pytest.raises(UnresolvedRequestsError) as caught:
        claimed(other, wanted("new"), wanted())
    assert list(caught.value.records) == [1]
    assert other.get(mine.row.id).state == "unknown"
    assert other.spent("run")[0] == 1.0  # nothing was made for the rest of the batch
    ledger.record_task(mine.row.id, "late")  # the answer came after all
    assert claimed(other)[0].row.task_id == "late"


def test_the_mark_is_taken_back_when_nothing_arrived(ledger: Ledger, other: Ledger) -> None:
    [mine] = claimed(ledger)
    ledger.begin_post(mine.row.id)
    ledger.post_not_delivered(mine.row.id)
    ledger.process_lock.release()
    assert claimed(other)[0].new


@pytest.mark.parametrize(
    ("states", "found"),
    [
        (["saved"], "saved"),
        (["saved", "failed"], "saved"),
        (["failed"], None),
        (["saved", "submitted"], "submitted"),
        (["unknown", "submitted"], "submitted"),
        (["submitted", "unknown"], "submitted"),
        (["succeeded", "unknown"], "succeeded"),
    ],
)
def test_which_of_several_equal_requests_is_used_again(ledger: Ledger, states: list[str], found: str | None) -> None:
    ids = [claimed(ledger, reuse=False)[0].row.id for _ in states]
    with ledger.database.writing() as db:
        db.executemany("UPDATE tasks SET state = ? WHERE id = ?", list(zip(states, ids, strict=True)))
    [again] = claimed(ledger)
    assert again.new is (found is None)
    assert found is None or again.row.state == found


def test_budget_is_reserved_together_or_not_at_all(ledger: Ledger) -> None:
    budget = Budget(per_run_usd=2.5, per_day_usd=100)
    claimed(ledger, wanted("a"), wanted("b"), wanted("a"), budget=budget)
    assert ledger.spent("run") == (2.0, 2.0)
    with pytest.raises(BudgetError):
        claimed(ledger, wanted("c"), budget=budget)
    later = [wanted("a"), wanted("c", counted=False), wanted("d")]
    claimed(ledger, *(replace(record, run_id="next") for record in later), budget=budget)
    assert ledger.spent("run") == (2.0, 3.0)


def test_yesterday_does_not_count_today(path: Path) -> None:
    now = [1_800_000_000.0]
    ledger = Ledger(path, clock=lambda: now[0])
    claimed(ledger)
    assert ledger.spent("")[1] == 1.0
    now[0] += 86_400
    assert ledger.spent("") == (0.0, 0.0)
    assert ledger.spent("run") == (1.0, 0.0)
    ledger.close()


def test_processes_side_by_side_share_each_request_once(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nodes.ledger import Ledger; "
        "from tests.ledger.test_ledger import wanted\n"
        f"ledger = Ledger(Path({str(path)!r}))\n"
        "print(sum(ledger.claim([wanted(str(i))], reuse=[True], budget=None)[0][1] for i in range(25)), flush=True)\n"
        "sys.stdin.read()"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", code], cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    news = [int(worker.stdout.readline()) for worker in workers if worker.stdout]
    for worker in workers:
        worker.communicate()
    assert sum(news) == 25


def test_a_reason_with_half_a_character_is_written_down(ledger: Ledger) -> None:
    failed, doubtful = adopt(ledger), claimed(ledger)[0].row.id
    ledger.fail(failed, "said \ud83d", billed=True)
    ledger.mark_unknown(doubtful, "said \ud83d")
    assert [ledger.get(row_id).reason for row_id in (failed, doubtful)] == ["said ?", "said ?"]


def test_a_time_that_is_none_is_left_out(ledger: Ledger, tmp_path: Path) -> None:
    row_id = adopt(ledger)
    times = {"executed_at": 1.0, "completed_at": 1e22}
    ledger.record_result(replace(ledger.get(row_id), result_url="https://x/v.mp4", **times))
    times = finished(ledger.get(row_id), tmp_path).info["times"]
    assert (times["executed"], times["completed"]) == ("1970-01-01T00:00:01Z", None)


def test_unfinished_tasks_go_to_one_living_process(ledger: Ledger, other: Ledger) -> None:
    adopt(ledger, "young")
    assert [row.task_id for row in ledger.take_over_unfinished(60)] == ["young"]
    assert other.take_over_unfinished(60) == []
    ledger.process_lock.release()
    assert [row.task_id for row in other.take_over_unfinished(60)] == ["young"]
    assert other.take_over_unfinished(-1) == []


# --- files that cannot be used ------------------------------------------------------------------------------------


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
def test_a_file_that_cannot_be_trusted_is_left_alone(path: Path, kind: str, text: str) -> None:
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


def test_a_locked_file_is_an_error_and_works_again_afterwards(ledger: Ledger, path: Path) -> None:
    claimed(ledger, wanted("first"))
    blocked = Ledger(path, busy_seconds=0.05)
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerError, match="locked by another program"):
            claimed(blocked)
        holder.execute("ROLLBACK")
    assert claimed(blocked)[0].new
    blocked.close()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"lock file|cannot be"):
        claimed(Ledger(tmp_path / "file" / "ledger.sqlite3"))
    (tmp_path / "ledger.sqlite3").mkdir()
    with pytest.raises(LedgerError, match="cannot be opened for writing"):
        claimed(Ledger(tmp_path / "ledger.sqlite3"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everything")
def test_a_read_only_file(ledger: Ledger, path: Path) -> None:
    claimed(ledger)
    ledger.close()
    path.chmod(0o400)
    with pytest.raises(LedgerError, match="writable"):
        claimed(ledger, wanted("new"))


def test_a_file_that_became_read_only_under_way(ledger: Ledger) -> None:
    [mine] = claimed(ledger)
    with ledger.database.reading() as db:
        db.execute("PRAGMA query_only = ON")
    with pytest.raises(LedgerError, match="Make the file and its folder writable"):
        ledger.begin_post(mine.row.id)


def test_a_ledger_that_was_moved_away_under_way_takes_no_post(ledger: Ledger, path: Path) -> None:
    [mine] = claimed(ledger)
    path.rename(path.with_name("moved.sqlite3"))
    with pytest.raises(LedgerError):
        ledger.begin_post(mine.row.id)
    assert claimed(ledger)[0].new  # a new one was begun


# --- a task id that the ledger could not take ---------------------------------------------------------------------


def test_a_task_id_is_kept_beside_a_locked_ledger(path: Path) -> None:
    ledger = Ledger(path, busy_seconds=0.05)
    [mine] = claimed(ledger)
    ledger.begin_post(mine.row.id)
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        ledger.record_task(mine.row.id, "paid-for")
        holder.execute("ROLLBACK")
    ledger.close()  # and ComfyUI ends, before anything else happened
    later = Ledger(path)
    [found] = claimed(later)
    assert (found.new, found.row.state, found.row.task_id) == (False, "submitted", "paid-for")
    later.close()


def test_the_text_has_the_task_id_when_nothing_can_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(path, busy_seconds=0.05)
    [mine] = claimed(ledger)
    ledger.begin_post(mine.row.id)
    path.with_name("ledger-rescue.jsonl").mkdir()
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerError, match=r"paid-for.*paste it into"):
            ledger.record_task(mine.row.id, "paid-for")
    ledger.close()


# --- versions -----------------------------------------------------------------------------------------------------

NEXT = (*MIGRATIONS, ("ALTER TABLE tasks ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey'", "CREATE TABLE extra (a)"))


def columns(database: Database) -> set[str]:
    with database.reading() as db:
        return {row["name"] for row in db.execute("PRAGMA table_info(tasks)")}


def test_an_older_file_is_brought_up_to_date_and_kept(ledger: Ledger, path: Path) -> None:
    claimed(ledger, wanted("old"))
    ledger.close()
    newer = Database(path, migrations=NEXT)
    assert "colour" in columns(newer)
    with newer.reading() as db:
        assert db.execute("SELECT fingerprint, colour FROM tasks").fetchone()[:] == ("old", "grey")
    newer.close()
    copy = path.with_name(f"ledger.version{len(MIGRATIONS)}.sqlite3")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with sqlite3.connect(copy) as db:
        assert db.execute("SELECT fingerprint FROM tasks").fetchone() == ("old",)


def test_a_migration_that_fails_changes_nothing(ledger: Ledger, path: Path) -> None:
    claimed(ledger, wanted("old"))
    ledger.close()
    wrong = (*MIGRATIONS, ("ALTER TABLE tasks ADD COLUMN colour TEXT", "THIS IS NO SQL"))
    with pytest.raises(LedgerError):
        columns(Database(path, migrations=wrong))
    assert "colour" not in columns(Database(path))
    assert claimed(ledger, wanted("old"))[0].new is False


def test_a_new_file_has_the_newest_version(ledger: Ledger) -> None:
    claimed(ledger)
    with ledger.database.reading() as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)


# --- uploads ------------------------------------------------------------------------------------------------------


def test_uploads(path: Path) -> None:
    now = [1000.0]
    ledger = Ledger(path, clock=lambda: now[0])

    def remember(url: str, expires_at: float | None, storage: str = "s3", sha256: str = "aa") -> None:
        ledger.uploads.add(Upload(url, sha256, f"what {sha256} shows", "video", storage, expires_at, 3.5))

    def found(min_life: float, storage: str = "s3") -> str | None:
        upload = ledger.uploads.find("aa", storage, min_life)
        return None if upload is None else upload.url

    remember("https://a", 1100.0)
    remember("https://b", 1200.0)
    assert [found(50), found(200), found(201)] == ["https://b", "https://b", None]
    assert found(50, "other") is None
    remember("https://c", None)
    assert found(10**9) == "https://c"
    remember("data:image/png;base64,AAAA", None, storage="inline")
    assert found(0, "inline") is None  # megabytes are not kept
    for url in ("https://a", "data:image/png;base64,AAAA"):
        upload = ledger.uploads.by_url(url)
        assert upload is not None
        assert (upload.sha256, upload.content) == ("aa", "what aa shows")
        assert (upload.seconds, upload.kind, upload.storage) == (3.5, "video", "s3" if upload.url else "inline")
        assert url not in repr(upload)
    remember("https://a", 1300.0, sha256="bb")
    again = ledger.uploads.by_url("https://a")
    assert again is not None
    assert again.sha256 == "bb"
    assert ledger.uploads.by_url("https://never") is None
    now[0] += 90 * 86_400
    remember("https://d", None)
    assert ledger.uploads.by_url("https://a") is None
    ledger.close()
