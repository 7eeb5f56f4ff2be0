"""What is certain when a prompt is queued, and the verdict on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nodes.comfy.queue_budget import (
    budget_problem,
    certain_costs,
    certainly_different,
    may_match,
    requests_of_known_cost,
)
from nodes.config import Budget
from nodes.ledger import Ledger, Upload
from tests.ledger.helpers import claimed, wanted

LINK = ["3", 0]


def node(**inputs: Any) -> dict[str, Any]:
    return {"class_type": "Wan27ImageToVideo", "inputs": {"resolution": "720P", "duration": 5, "prompt": "p", **inputs}}


def test_requests_of_known_cost_have_a_literal_duration_and_resolution() -> None:
    prompt: dict[str, Any] = {
        "1": node(),
        "2": node(duration="7"),
        "3": node(duration=LINK),
        "4": node(resolution=LINK),
        "5": node(duration=99),
        "6": {"class_type": "KSampler", "inputs": {"duration": 5}},
        "7": {"class_type": "Wan27ImageToVideo"},
        "8": None,
    }
    assert [request["duration"] for request in requests_of_known_cost(prompt, prompt)] == [5, 7]
    assert [request["duration"] for request in requests_of_known_cost(prompt, {"2", "3"})] == [7]


@pytest.mark.parametrize(
    ("one", "other", "paid"),
    [
        ({}, {}, 1),
        ({}, {"prompt": "p\n"}, 1),
        ({}, {"seed": 2}, 2),
        ({}, {"seed": LINK}, 1),
        ({}, {"duration": 6}, 2),
        ({"image_url": LINK}, {"image_url": ["4", 0]}, 1),
        ({"image_url": "https://x/a.png"}, {"first_clip_url": "https://x/a.mp4"}, 2),
        ({"on_repeat": "submit_again"}, {"on_repeat": "submit_again"}, 2),
        ({"on_repeat": "submit_again"}, {}, 1),
        ({}, {"on_repeat": LINK}, 1),
    ],
)
def test_certainly_different_requests_cannot_share_a_task(
    one: dict[str, Any], other: dict[str, Any], paid: int
) -> None:
    both = [node(**inputs)["inputs"] for inputs in (one, other)]
    assert len(certainly_different(both)) == len(certainly_different(both[::-1])) == paid


@pytest.mark.parametrize(
    ("inputs", "known"),
    [
        ({}, True),
        ({"prompt": LINK}, True),
        ({"prompt": " p\n"}, True),
        ({"negative_prompt": " "}, True),
        ({"seed": "0"}, True),
        ({"prompt": "other"}, False),
        ({"duration": 6}, False),
        ({"seed": 3}, False),
        ({"negative_prompt": ""}, True),
        ({"watermark": False}, True),
        ({"watermark": True}, False),
    ],
)
def test_may_match_compares_with_a_stored_request(inputs: dict[str, Any], known: bool) -> None:
    stored = {"prompt": "p", "resolution": "720P", "duration": 5, "watermark": False, "image_url": "sha256:00"}
    assert may_match(node(**inputs)["inputs"], stored) is known


CLIP = "https://x/clip.mp4"


@pytest.mark.parametrize(
    ("media", "cost"),
    [
        ({"image_url": LINK}, 0.5),
        ({"first_clip_url": "https://x/other.mp4"}, 1.0),
        ({"first_clip_url": f" {CLIP}"}, 0.75),
        ({"first_clip_url": LINK}, 0.7),
        ({"first_clip_url": LINK, "image_url": LINK}, 0.5),
    ],
)
def test_budget_problem_counts_of_a_clip_what_is_certain(media: dict[str, Any], cost: float, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    ledger.uploads.add(Upload(CLIP, "sha", "content", "video", "s3", seconds=2.5))

    def problem(limit: float) -> str | None:
        budget = Budget(per_run_usd=limit, per_day_usd=100)
        return budget_problem([node(**media)["inputs"]], prices={"720P": 0.1}, budget=budget, ledger=ledger)

    assert problem(cost) is None
    assert f"about ${cost:.2f}" in str(problem(cost - 0.01))
    ledger.close()


def test_certain_costs_leave_out_what_may_have_been_paid_for(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    stored = {"prompt": "p", "resolution": "720P", "duration": 5, "image_url": "sha256:00"}
    claimed(ledger, wanted(request=stored))

    def costs(*requests: dict[str, Any]) -> list[float]:
        return certain_costs([node(**one)["inputs"] for one in requests], prices={"720P": 0.1}, ledger=ledger)

    assert costs({}, {"image_url": LINK}) == []
    assert costs({"seed": 1}, {"duration": 6}, {"on_repeat": "submit_again"}) == [0.5, 0.6, 0.5]
    ledger.close()
