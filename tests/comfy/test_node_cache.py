"""Stale outputs make a node run again; outputs that are still good do not."""

from __future__ import annotations

from nodes.comfy.node_cache import PROMPTS, NodeCache


def test_generation_lasts_until_a_check_finds_stale_outputs() -> None:
    cache, stale = NodeCache(), False
    cache.add_check("a", lambda: stale, prompt_id="1")
    first = cache.generation("a")
    assert cache.generation("a") == first
    stale = True
    second = cache.generation("a")
    assert second != first
    assert cache.generation("a") == second


def test_generation_is_separate_for_each_node() -> None:
    cache = NodeCache()
    cache.add_check("b", lambda: True, prompt_id="1")
    assert cache.generation("c") == 0
    assert cache.generation("b") == 1


def test_generation_increases_if_a_check_fails() -> None:
    def broken() -> bool:
        raise OSError("gone")

    cache = NodeCache()
    cache.add_check("d", broken, prompt_id="1")
    assert cache.generation("d") == 1


def test_generation_still_depends_on_the_checks_of_earlier_prompts() -> None:
    """ComfyUI may have cached the outputs of two workflows whose nodes have the same id."""
    cache, stale = NodeCache(), set[str]()
    for name in ("one workflow", "another"):
        cache.add_check("e", lambda name=name: name in stale, prompt_id=name)
    before = cache.generation("e")
    stale.add("one workflow")
    after = cache.generation("e")
    assert after != before
    assert cache.generation("e") == after
    stale.add("another")
    assert cache.generation("e") != after


def test_generation_depends_on_every_check_of_a_prompt_once() -> None:
    """A list input makes ComfyUI run a node several times in one prompt."""
    cache, stale = NodeCache(), set[int]()
    for number in range(2 * PROMPTS):
        cache.add_check("f", lambda number=number: number in stale, prompt_id="1")
    before = cache.generation("f")
    stale.add(0)
    after = cache.generation("f")
    assert after != before
    stale.add(1)
    assert cache.generation("f") == after


def test_checks_are_kept_of_the_latest_prompts_only() -> None:
    cache, asked = NodeCache(), list[int]()
    for number in range(3 * PROMPTS):
        cache.add_check("g", lambda number=number: bool(asked.append(number)), prompt_id="")
    cache.generation("g")
    assert asked == list(range(2 * PROMPTS, 3 * PROMPTS))
