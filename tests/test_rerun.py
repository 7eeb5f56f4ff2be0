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
