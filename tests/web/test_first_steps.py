"""What the bar at the bottom of the canvas leads to, and when it stays away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import JavaScript

OURS = {"type": "Wan27UploadImage", "inputs": [{"link": None}], "outputs": [{"links": None}]}
LINKED = {"type": "Wan27ImageToVideo", "inputs": [{"link": 3}], "outputs": []}
FEEDING = {"type": "Wan27UploadImage", "inputs": [], "outputs": [{"links": [3]}]}
OTHER = {"type": "LoadImage", "outputs": [{"links": []}]}


def status(*, sandbox: bool, tasks: int, problem: str | None = None) -> dict[str, Any]:
    return {"problem": problem, "connection": {"sandbox": sandbox}, "tasks": 0, "all_tasks": tasks}


NEW = status(sandbox=True, tasks=0)
CASES: dict[str, tuple[Any, list[Any], bool, str | None]] = {
    "an empty canvas": (NEW, [], False, None),
    "one node": (NEW, [OURS], False, "example"),
    "two nodes that are not linked": (NEW, [OURS, {"type": "Wan27JoinVideos"}], False, "example"),
    "one node with a key": (status(sandbox=False, tasks=0), [OURS], False, "example"),
    "a linked node": (NEW, [LINKED], False, None),
    "a node that feeds another": (NEW, [FEEDING, OURS], False, None),
    "a graph of other nodes": (NEW, [OTHER, OURS], False, None),
    "one node of someone who had a video": (status(sandbox=True, tasks=1), [OURS], False, None),
    "the first video of the sandbox": (status(sandbox=True, tasks=1), [LINKED], True, "host"),
    "one video of many": (status(sandbox=True, tasks=3), [LINKED], True, None),
    "a video that was billed": (status(sandbox=False, tasks=1), [LINKED], True, None),
    "settings that cannot be used": (status(sandbox=True, tasks=0, problem="no"), [OURS], False, None),
    "no status yet": (None, [OURS], False, None),
}


@pytest.mark.parametrize("case", CASES)
def test_next_step_of(case: str, js: JavaScript) -> None:
    known, nodes, saw, step = CASES[case]
    body = "({ nextStep }, status, nodes, saw) => nextStep({ status, nodes, saw })"
    assert js("first_steps", body, known, nodes, saw) == step
