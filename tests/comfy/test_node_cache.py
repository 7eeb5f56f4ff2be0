"""What went stale runs again, what did not does not."""

from __future__ import annotations

from nodes.comfy import node_cache


def test_a_generation_lasts_until_its_check_says_stale() -> None:
    stale = False
    node_cache.remember("a", lambda: stale)
    first = node_cache.generation("a")
    assert node_cache.generation("a") == first
    stale = True
    second = node_cache.generation("a")
    assert second != first
    assert node_cache.generation("a") == second


def test_nodes_do_not_share_generations() -> None:
    node_cache.remember("b", lambda: True)
    assert node_cache.generation("c") == 0
    assert node_cache.generation("b") == 1


def test_what_cannot_be_checked_runs_again() -> None:
    def broken() -> bool:
        raise OSError("gone")

    node_cache.remember("d", broken)
    assert node_cache.generation("d") == 1


def test_what_was_given_out_before_is_still_checked() -> None:
    """A cache keeps what two workflows gave out by nodes of the same id."""
    stale: set[str] = set()
    for name in ("of one workflow", "of another"):
        node_cache.remember("e", lambda name=name: name in stale)
    before = node_cache.generation("e")
    stale.add("of one workflow")
    after = node_cache.generation("e")
    assert after != before
    assert node_cache.generation("e") == after
    stale.add("of another")
    assert node_cache.generation("e") != after


def test_checks_do_not_pile_up() -> None:
    asked: list[int] = []
    for number in range(3 * node_cache.CHECKS):
        node_cache.remember("f", lambda number=number: bool(asked.append(number)))
    node_cache.generation("f")
    assert asked == list(range(2 * node_cache.CHECKS, 3 * node_cache.CHECKS))
