"""What is certain when a prompt is queued, and the verdict on it."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.comfy.queue_budget import certainly_different, may_match, requests_of_known_cost

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
