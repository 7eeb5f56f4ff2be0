"""What went stale runs again, what did not does not."""

from __future__ import annotations

from nodes import rerun


def test_a_generation_lasts_until_its_check_says_stale() -> None:
    stale = False
    rerun.remember("a", lambda: stale)
    first = rerun.generation("a")
    assert rerun.generation("a") == first
    stale = True
    second = rerun.generation("a")
    assert second != first
    assert rerun.generation("a") == second


def test_nodes_do_not_share_generations() -> None:
    rerun.remember("b", lambda: True)
    assert rerun.generation("c") == 0
    assert rerun.generation("b") == 1


def test_what_cannot_be_checked_runs_again() -> None:
    def broken() -> bool:
        raise OSError("gone")

    rerun.remember("d", broken)
    assert rerun.generation("d") == 1


def test_what_was_given_out_before_is_still_checked() -> None:
    """A cache keeps what two workflows gave out by nodes of the same id."""
    stale: set[str] = set()
    for name in ("of one workflow", "of another"):
        rerun.remember("e", lambda name=name: name in stale)
    before = rerun.generation("e")
    stale.add("of one workflow")
    after = rerun.generation("e")
    assert after != before
    assert rerun.generation("e") == after
    stale.add("of another")
    assert rerun.generation("e") != after


def test_checks_do_not_pile_up() -> None:
    asked: list[int] = []
    for number in range(3 * rerun.CHECKS):
        rerun.remember("f", lambda number=number: bool(asked.append(number)))
    rerun.generation("f")
    assert asked == list(range(2 * rerun.CHECKS, 3 * rerun.CHECKS))
