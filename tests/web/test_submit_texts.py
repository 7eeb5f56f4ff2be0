"""The texts of the widget on Image to Video."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import JavaScript

STATUS: dict[str, Any] = {
    "connection": {"sandbox": False, "name": "fal"},
    "prices": {"720P": 0.1, "1080P": 0.15},
    "limits": {"clip_billed_seconds": [2, 5]},
}
SANDBOX = {**STATUS, "connection": {"sandbox": True, "name": "sandbox"}}
COST = """({ costText }, status, values, linked, given) =>
    costText(status, { values: name => values[name], linked: new Set(linked), given: new Set(given) })"""
VALUES = {"duration": 5, "resolution": "720P", "on_repeat": "reuse"}

CASES: dict[str, tuple[Any, dict[str, Any], list[str], list[str], str, str]] = {
    "one video": (STATUS, VALUES, [], [], "≈ $0.50 · fal", "For each video: 5 s × $0.10"),
    "the sandbox": (
        SANDBOX,
        VALUES,
        [],
        ["first_clip_url"],
        "· free",
        "With a key, a video would cost ≈ $0.50 to $1.00.",
    ),
    "a clip": (
        STATUS,
        VALUES,
        [],
        ["first_clip_url"],
        "≈ $0.50 to $1.00 · fal · with the clip",
        "For each video: 5 s × $0.10\n2 to 5 s of the clip may be billed on top.",
    ),
    "a linked duration": (
        STATUS,
        {**VALUES, "on_repeat": "submit_again"},
        ["duration"],
        [],
        "≈ $0.10 per second · fal · paid for each time",
        "duration is linked: the cost shows when it runs.\nsubmit_again: every time you queue pays for a new video.",
    ),
    "an unknown price": (STATUS, {**VALUES, "resolution": "4K"}, [], [], "≈ $? · fal", "For each video: 5 s × $?"),
    "settings that cannot be used": ({"problem": "fal needs a key."}, VALUES, [], [], "fal needs a key.", ""),
    "no status yet": (None, VALUES, [], [], "", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_cost_text_of(case: str, js: JavaScript) -> None:
    status, values, linked, given, text, detail = CASES[case]
    shown = js("submit_texts", COST, status, values, linked, given)
    assert (shown["text"], shown["detail"]) == (text, detail)


def test_counter_text_says_what_is_left(js: JavaScript) -> None:
    body = """({ counterText }, lengths) => lengths.map(length =>
        counterText("prompt", 20, { values: () => "x".repeat(length), linked: new Set() }).text)"""
    assert js("submit_texts", body, [3, 19, 22]) == [
        "prompt 3 / 20",
        "prompt 19 / 20 (1 left)",
        "prompt 22 / 20 (2 too many)",
    ]
    linked = "({ counterText }) => counterText('prompt', 20, { linked: new Set(['prompt']) }).text"
    assert js("submit_texts", linked) == "prompt is linked"
