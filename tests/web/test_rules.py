"""What the node shows before it runs is what it says and estimates when it runs."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.api.connection import estimated_cost
from nodes.api.request import MEDIA_FIELDS, combination_problems
from nodes.core import limits
from tests.web.conftest import JavaScript

CLIPS: tuple[dict[str, Any] | None, ...] = (
    None,
    *({"seconds": seconds} for seconds in (None, 0, 2, 2.04, 3.5, 5, 9.9)),
)


def test_estimate_is_the_range_that_the_node_estimates(js: JavaScript) -> None:
    durations = range(limits.DURATION_SECONDS[0], limits.DURATION_SECONDS[1] + 1)
    cases = [
        (seconds, resolution, clip) for seconds in durations for resolution in limits.RESOLUTIONS for clip in CLIPS
    ]

    shown = js(
        "rules",
        """({ estimate }, cases, prices, billed) => cases.map(([duration, resolution, clip]) => {
            const { low, high } = estimate(duration, resolution, prices, clip, billed);
            return [low, high];
        })""",
        cases,
        limits.PRICE_PER_SECOND_USD,
        limits.CLIP_BILLED_SECONDS,
    )

    for (duration, resolution, clip), range_ in zip(cases, shown, strict=True):
        seconds = None if clip is None else clip["seconds"]
        expected = estimated_cost(
            duration, resolution, limits.PRICE_PER_SECOND_USD, clip=clip is not None, clip_seconds=seconds
        )
        assert range_ == pytest.approx(expected), (duration, resolution, clip)


def test_estimate_of_what_is_not_known_is_none(js: JavaScript) -> None:
    body = "({ estimate }, duration) => estimate(duration ?? NaN, '720P', { '1080P': 1 }, null, [2, 5])"
    assert js("rules", body, 5) is None
    assert js("rules", body.replace("'1080P'", "'720P'"), None) is None


def test_combination_judges_like_the_node(js: JavaScript) -> None:
    judged = js(
        "rules",
        """({ combination, MEDIA }) => [...Array(1 << MEDIA.length).keys()].map(bits => {
            const given = MEDIA.filter((_, index) => bits & (1 << index));
            return [given, combination(new Set(given)).ok];
        })""",
    )

    assert len(judged) == 2 ** len(MEDIA_FIELDS)
    for fields, ok in judged:
        assert set(fields) <= set(MEDIA_FIELDS)
        assert ok == (not list(combination_problems(set(fields)))), fields


TEXTS = (
    "",
    "  猫  ",
    "a" * 40,
    "👍🏽 é é",
    "\t\n x \r\n",
    "\u2028x\u3000",
    "half \ud83d of a pair",
    "\ufeffx",
    "\x1fx\x85",
)


def test_count_characters_counts_what_the_node_counts(js: JavaScript) -> None:
    counted = js("rules", "({ countCharacters }, texts) => texts.map(countCharacters)", TEXTS)
    assert counted == [len(text.strip()) for text in TEXTS]


def test_counter_level_warns_near_the_limit(js: JavaScript) -> None:
    levels = js("rules", "({ counterLevel }) => [0, 450, 451, 500, 501].map(count => counterLevel(count, 500))")
    assert levels == ["fine", "fine", "near", "near", "over"]
