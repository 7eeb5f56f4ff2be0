from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nodes.config import Budget
from nodes.core.errors import BudgetError, LedgerError
from nodes.ledger import Ledger, TaskFilter, UnresolvedRequestsError
from tests.ledger.helpers import adopt, claimed, submitted, wanted

REPO = Path(__file__).resolve().parents[2]


def test_intent_belongs_to_one_process_while_it_lives(ledger: Ledger, other: Ledger) -> None:
    [mine] = claimed(ledger)
    [theirs] = claimed(other)
    assert (mine.is_new, theirs.is_new) == (True, False)
    assert theirs.record.id == mine.record.id
    other.recover()
    assert other.get(mine.record.id).state == "intent"
    with pytest.raises(LedgerError, match="another process"):
        other.begin_post(mine.record.id)
    ledger.begin_post(mine.record.id)
    ledger.record_task(mine.record.id, "t1")
    assert claimed(other)[0].record.task_id == "t1"


def test_intent_never_sent_is_free_after_its_process(ledger: Ledger, other: Ledger) -> None:
    [mine] = claimed(ledger)
    ledger.process_lock.release()
    [theirs] = claimed(other)
    assert theirs.is_new
    assert theirs.record.id != mine.record.id
    with pytest.raises(LedgerError):
        ledger.begin_post(mine.record.id)  # should it not be dead after all, it finds that out before the POST
    assert other.spent("run")[0] == 1.0


def test_intent_known_by_its_files_only_is_settled_too(ledger: Ledger, other: Ledger) -> None:
    [mine] = claimed(ledger)
    ledger.begin_post(mine.record.id)
    ledger.process_lock.release()
    with pytest.raises(UnresolvedRequestsError):
        claimed(other, wanted("content", file_fingerprint="file f"))
    assert other.get(mine.record.id).state == "unknown"


def test_intent_possibly_sent_is_unknown_after_its_process(ledger: Ledger, other: Ledger) -> None:
    [mine] = claimed(ledger)
    ledger.begin_post(mine.record.id)
    ledger.process_lock.release()
    with pytest.raises(UnresolvedRequestsError) as caught:
        claimed(other, wanted("new"), wanted())
    assert list(caught.value.records) == [1]
    assert other.get(mine.record.id).state == "unknown"
    assert other.spent("run")[0] == 1.0  # nothing was made for the rest of the batch
    ledger.record_task(mine.record.id, "late")  # the answer came after all
    assert claimed(other)[0].record.task_id == "late"


def test_intent_without_a_lock_file_is_refused(ledger: Ledger) -> None:
    locks = ledger.process_lock.directory
    locks.parent.mkdir(exist_ok=True)
    locks.touch()
    with pytest.raises(LedgerError, match="nothing is sent"):
        claimed(ledger)


def test_post_not_delivered_takes_the_mark_back(ledger: Ledger, other: Ledger) -> None:
    [mine] = claimed(ledger)
    ledger.begin_post(mine.record.id)
    ledger.post_not_delivered(mine.record.id)
    ledger.process_lock.release()
    assert claimed(other)[0].is_new


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
def test_claim_picks_the_best_of_several_equal_records(ledger: Ledger, states: list[str], found: str | None) -> None:
    runs = [wanted(prompt_id=f"prompt {number}") for number in range(len(states))]
    ids = [claimed(ledger, run, reuse=False)[0].record.id for run in runs]
    with ledger.database.writing() as db:
        db.executemany("UPDATE tasks SET state = ? WHERE id = ?", list(zip(states, ids, strict=True)))
    [again] = claimed(ledger)
    assert again.is_new is (found is None)
    assert found is None or again.record.state == found


def test_claim_of_another_task_is_new_once_in_each_prompt_and_node(ledger: Ledger) -> None:
    first, second = claimed(ledger, wanted(), wanted(), reuse=False)
    assert first.is_new and second.is_new and first.record.id != second.record.id
    again = claimed(ledger, wanted(), wanted(), wanted(), reuse=False)
    assert [one.is_new for one in again] == [False, False, True]
    assert [one.record.id for one in again[:2]] == [first.record.id, second.record.id]
    for other in (
        wanted("g"),
        wanted(prompt_id="next"),
        wanted(node_id="other"),
        wanted(node_id=""),
        wanted(prompt_id=""),
    ):
        assert claimed(ledger, other, reuse=False)[0].is_new
    assert claimed(ledger, wanted(node_id=""), reuse=False)[0].is_new  # not known to be the same node


def test_claim_of_another_task_in_the_same_prompt_ignores_failed_ones(ledger: Ledger) -> None:
    first, second = claimed(ledger, wanted(), wanted(), reuse=False)
    ledger.fail(first.record.id, "no", billed=True)
    again = claimed(ledger, wanted(), wanted(), reuse=False)
    assert [one.is_new for one in again] == [False, True]
    assert again[0].record.id == second.record.id


def test_claim_of_another_task_in_the_same_prompt_sends_no_unknown_one_again(ledger: Ledger) -> None:
    [mine] = claimed(ledger, reuse=False)
    ledger.begin_post(mine.record.id)
    ledger.mark_unknown(mine.record.id, "lost")
    with pytest.raises(UnresolvedRequestsError):
        claimed(ledger, reuse=False)
    assert claimed(ledger, wanted(prompt_id="next"), reuse=False)[0].is_new


def test_claim_run_again_makes_nothing_new_of_mixed_items(ledger: Ledger) -> None:
    claimed(ledger, wanted(prompt_id="before"))
    for reuse in ([True, False], [False, True], [True, True, False, False]):
        items = [wanted(prompt_id=str(reuse)) for _ in reuse]
        assert sum(is_new for _, is_new in ledger.claim(items, reuse=reuse, budget=None)) == reuse.count(False)
        assert not any(is_new for _, is_new in ledger.claim(items, reuse=reuse, budget=None))


def test_claim_reserves_the_budget_of_all_or_none(ledger: Ledger) -> None:
    budget = Budget(per_run_usd=2.5, per_day_usd=100)
    claimed(ledger, wanted("a"), wanted("b"), wanted("a"), budget=budget)
    assert ledger.spent("run") == (2.0, 2.0)
    with pytest.raises(BudgetError):
        claimed(ledger, wanted("c"), budget=budget)
    later = [wanted("a"), wanted("c", counted=False), wanted("d")]
    claimed(ledger, *(replace(record, run_id="next") for record in later), budget=budget)
    assert ledger.spent("run") == (2.0, 3.0)


def test_spent_today_does_not_include_yesterday(path: Path) -> None:
    now = [1_800_000_000.0]
    ledger = Ledger(path, clock=lambda: now[0])
    claimed(ledger)
    assert ledger.spent("")[1] == 1.0
    now[0] += 86_400
    assert ledger.spent("") == (0.0, 0.0)
    assert ledger.spent("run") == (1.0, 0.0)
    ledger.close()


def test_claim_by_several_processes_reserves_each_request_once(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nodes.ledger import Ledger; "
        "from tests.ledger.helpers import wanted\n"
        f"ledger = Ledger(Path({str(path)!r}), busy_seconds=120)\n"
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


def test_reason_with_a_lone_surrogate_is_recorded(ledger: Ledger) -> None:
    failed, doubtful = adopt(ledger), claimed(ledger)[0].record.id
    ledger.fail(failed, "said \ud83d", billed=True)
    ledger.mark_unknown(doubtful, "said \ud83d")
    assert [ledger.get(record_id).reason for record_id in (failed, doubtful)] == ["said ?", "said ?"]


def test_take_over_unfinished_gives_tasks_to_one_living_process(ledger: Ledger, other: Ledger) -> None:
    adopt(ledger, "young")
    assert [record.task_id for record in ledger.take_over_unfinished(60)] == ["young"]
    assert other.take_over_unfinished(60) == []
    ledger.process_lock.release()
    assert [record.task_id for record in other.take_over_unfinished(60)] == ["young"]
    assert other.take_over_unfinished(-1) == []


def test_on_change_gets_what_was_committed_and_nothing_else(ledger: Ledger, path: Path) -> None:
    first = submitted(ledger, "in another process")
    changes: list[set[int]] = []
    watched = Ledger(path, on_change=lambda ids: changes.append(set(ids)))

    second = submitted(watched, "new")
    watched.fail(first, "no", billed=True)
    with pytest.raises(BudgetError):
        claimed(watched, wanted("too much"), budget=Budget(1, 1))
    watched.close()
    watched.fail(second, "after the file was opened again", billed=True)
    watched.close()

    assert changes == [{second}, {second}, {second}, {first}, {second}]


def test_on_change_misses_no_record_that_a_statement_changes(ledger: Ledger, path: Path) -> None:
    """Compare it with triggers, which see every statement."""
    announced: set[int] = set()
    touched: set[int] = set()
    watched = Ledger(path, on_change=announced.update)
    with watched.database.reading() as db:
        db.create_function("touched", 1, touched.add)
        for event in ("INSERT", "UPDATE"):
            db.execute(f"CREATE TEMP TRIGGER after_{event} AFTER {event} ON tasks BEGIN SELECT touched(new.id); END")
    old, sent, task = (claimed(ledger, wanted(name))[0].record.id for name in ("old", "sent", "task"))
    ledger.begin_post(sent)
    ledger.begin_post(task)
    ledger.record_task(task, "task")
    with ledger.database.writing() as db:
        db.execute("UPDATE tasks SET fingerprint = file_fingerprint WHERE id = ?", (task,))

    def check(*ids: int) -> None:
        assert announced == touched == set(ids)
        announced.clear()
        touched.clear()

    claimed(watched, wanted("content", file_fingerprint="file task"))  # the record learns the content
    check(task)
    ledger.process_lock.release()
    watched.recover()
    check(old, sent)
    watched.take_over_unfinished(60)
    check(task)
    first, second, third = (record.id for record, _ in claimed(watched, *map(wanted, "abc")))
    check(first, second, third)
    watched.begin_post(first)
    check(first)
    watched.post_not_delivered(first)
    check(first)
    watched.withdraw(first, "no longer wanted")
    check(first)
    watched.abandon(second)
    check(second)
    watched.mark_unknown(third, "lost")
    check(third)
    watched.fail(third, "refused", billed=False)
    check(third)
    watched.record_result(replace(watched.get(task), result_url="https://x/v.mp4"))
    check(task)
    watched.record_saved(replace(watched.get(task), file="wan27/a.mp4"))
    check(task)
    foreign = adopt(watched, "foreign")
    check(foreign)
    watched.withdraw(task, "not an intent")
    check()
    watched.close()


def test_on_change_that_fails_does_not_undo_the_change(path: Path) -> None:
    def fail(ids: frozenset[int]) -> None:
        raise RuntimeError("the browser is gone")

    ledger = Ledger(path, on_change=fail)
    assert ledger.get(submitted(ledger, "paid")).state == "submitted"
    ledger.close()


def test_finished_runs_are_the_latest_of_a_service(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        [(record, _)] = claimed(ledger, wanted(f"f{number}", request={"resolution": "720P", "duration": 5}))
        ledger.begin_post(record.id)
        ledger.record_task(record.id, f"t{number}")
        began = ledger.get(record.id).submitted_at or 0.0
        took = {0: 60.0, 1: 70.0, 2: -5.0}.get(number)
        ended = None if took is None else began + took
        ledger.record_result(replace(record, result_url="https://x/v.mp4", completed_at=ended))
    runs = ledger.finished_runs("novita https://x")
    assert [(run.resolution, run.duration, round(run.seconds)) for run in runs] == [("720P", 5, 70), ("720P", 5, 60)]
    assert ledger.finished_runs("another") == []
    monkeypatch.setattr("nodes.ledger.ledger.HISTORY", 1)
    assert [round(run.seconds) for run in ledger.finished_runs("novita https://x")] == [70]


def test_hidden_task_is_off_the_list_and_still_keeps_its_request_from_being_sent(ledger: Ledger) -> None:
    [(record, _)] = claimed(ledger)
    ledger.begin_post(record.id)
    ledger.mark_unknown(record.id, "the answer was lost")

    assert ledger.hide(record.id)

    assert ledger.task_list.ids(TaskFilter()) == []
    assert ledger.task_list.ids(TaskFilter(hidden=True)) == [record.id]
    assert ledger.spent("run")[0] == 1.0
    with pytest.raises(UnresolvedRequestsError):
        claimed(ledger)


@pytest.mark.parametrize("event", ["queued again", "task found", "saved again", "put back"])
def test_hidden_task_returns_to_the_list(event: str, ledger: Ledger) -> None:
    if event == "task found":
        [(record, _)] = claimed(ledger)
        ledger.begin_post(record.id)
        ledger.mark_unknown(record.id, "the answer was lost")
    else:
        record = ledger.get(submitted(ledger, "waves"))
        ledger.record_saved(replace(record, file="wan27/a.mp4"))
    assert ledger.hide(record.id)

    if event == "queued again":
        assert not claimed(ledger, wanted("waves"))[0].is_new
    elif event == "task found":
        ledger.adopt_lost(record.id, {"t-9": {}}, fits=lambda record, task_id: True, certain={"t-9"})
    elif event == "saved again":
        ledger.record_saved(replace(record, file="wan27/a.mp4"))
    else:
        assert ledger.show(record.id)

    assert ledger.task_list.ids(TaskFilter()) == [record.id]


def test_task_whose_video_may_arrive_cannot_be_hidden_for_a_day(path: Path) -> None:
    now = [1_800_000_000.0]
    ledger = Ledger(path, clock=lambda: now[0])
    running = submitted(ledger, "waves")
    assert not ledger.hide(running)

    now[0] += 25 * 3600
    assert ledger.hide(running)
    ledger.close()
