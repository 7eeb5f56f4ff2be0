"""What is certain when a prompt is queued."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.queued import certain_requests, may_be_known

LINK = ["3", 0]


def node(**inputs: Any) -> dict[str, Any]:
    return {"class_type": "Wan27ImageToVideo", "inputs": {"resolution": "720P", "duration": 5, "prompt": "p", **inputs}}


def test_only_literal_durations_and_resolutions_of_this_node_are_certain() -> None:
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
    assert [request["duration"] for request in certain_requests(prompt)] == [5, 7]


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
def test_a_request_that_may_be_paid_for_already_is_not_surely_new(inputs: dict[str, Any], known: bool) -> None:
    stored = {"prompt": "p", "resolution": "720P", "duration": 5, "watermark": False, "image_url": "sha256:00"}
    assert may_be_known(node(**inputs)["inputs"], stored) is known
