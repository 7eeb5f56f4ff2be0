"""The links of a prompt, and the nodes that run for certain."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.comfy.prompt_graph import certain_to_run, linked_outputs, node_classes, outputs_in_use, running_prompt

PROMPT = {
    "1": {"class_type": "Source", "inputs": {}},
    "2": {"class_type": "Decode", "inputs": {"video": ["1", 0], "start_time": 0.5}},
    "3": {"class_type": "Save", "inputs": {"images": ["2", 0], "fps": ["2", 2], "name": "2"}},
    "4": {"class_type": "Save", "inputs": {"images": ["2", 4], "pair": [2, 3], "list": ["2", 1, 0]}},
    "7:2": {"class_type": "Decode", "inputs": {"video": ["1", 0]}},
    "5": {"class_type": "Save", "inputs": {"audio": ["7:2", 1], "flag": ["2", True]}},
}


@pytest.mark.parametrize(
    ("node", "expected"), [("1", {0}), ("2", {0, 2, 4}), ("7:2", {1}), ("3", set()), ("no such node", set())]
)
def test_linked_outputs_finds_the_links_to_a_node(node: str, expected: set[int]) -> None:
    assert linked_outputs(PROMPT, node) == expected


def test_linked_outputs_ignores_malformed_nodes() -> None:
    assert linked_outputs({"1": None, "2": {"inputs": None}, "3": {}}, "1") == set()


def test_graph_is_unknown_outside_comfyui() -> None:
    assert running_prompt("some id") is None
    assert outputs_in_use() is None
    assert node_classes() == {}


class Save:
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        return {"required": {"images": ("IMAGE",)}}


class Decode:
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {"required": {"video": ("VIDEO", {})}, "optional": {"other": ("VIDEO", {"lazy": True})}}


CLASSES = {"Save": Save, "Decode": Decode, "Source": Decode}
QUEUED = {
    "1": {"class_type": "Source", "inputs": {}},
    "2": {"class_type": "Decode", "inputs": {"video": ["1", 0], "other": ["8", 0]}},
    "3": {"class_type": "Save", "inputs": {"images": ["2", 0]}},
    "4": {"class_type": "Save", "inputs": {"images": ["6", 0]}},
    "6": {"class_type": "Source", "inputs": {"loop": ["4", 0]}},
    "7": {"class_type": "Source", "inputs": {}},
    "8": {"class_type": "Source", "inputs": {}},
    "9": {"class_type": "Unknown", "inputs": {"video": ["7", 0]}},
    "10": None,
}


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (None, {"1", "2", "3", "4", "6"}),
        (["3"], {"1", "2", "3"}),
        (["4", "2"], {"4", "6"}),
        ([], set()),
        ("34", set()),
    ],
)
def test_certain_to_run_is_only_what_an_output_node_needs(targets: Any, expected: set[str]) -> None:
    assert certain_to_run(QUEUED, targets, CLASSES) == expected
