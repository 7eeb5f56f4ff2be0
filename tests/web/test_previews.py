"""Which output of ComfyUI's history belongs to which Wait for Video."""

from __future__ import annotations

from typing import Any

from tests.web.conftest import JavaScript


def run(workflow: str, **outputs: str) -> dict[str, Any]:
    """Return an entry of the history: Wait nodes 1 and 5:12, and a node 2 of another class."""
    prompt = {"1": "Wan27WaitForVideo", "5:12": "Wan27WaitForVideo", "2": "SaveVideo"}
    graph = {node: {"class_type": kind} for node, kind in prompt.items()}
    extra = {"extra_pnginfo": {"workflow": {"id": workflow}}}
    return {
        "prompt": [0, "p", graph, extra, []],
        "outputs": {node.strip("_"): {"images": [file]} for node, file in outputs.items()},
    }


def test_previews_are_of_the_last_run_of_the_workflow(js: JavaScript) -> None:
    runs = [run("a", _1="old", _2="other"), run("a", _1="new"), run("b", _1="foreign"), run("a"), {"outputs": {}}, {}]
    body = "({ lastOutputs }, runs) => lastOutputs(runs, 'a')"
    assert js("previews", body, runs) == {"1": {"images": ["new"]}}


def test_previews_are_missing_on_wait_nodes_that_show_nothing(js: JavaScript) -> None:
    wait = "Wan27WaitForVideo"
    inner = {
        "id": "sub",
        "nodes": [{"id": 12, "type": wait}, {"id": 13, "type": wait}, {"id": 14, "type": "SaveVideo"}],
    }
    graph = {
        "nodes": [
            {"id": 1, "type": wait},
            {"id": 2, "type": wait},
            {"id": 3, "type": "SaveVideo"},
            {"id": 5, "subgraph": inner},
        ]
    }
    body = "({ emptyWaits }, graph, outputs) => emptyWaits(graph, outputs)"
    assert js("previews", body, graph, {"1": {}, "sub:13": {}}) == ["2", "5:12"]
    assert js("previews", body, graph, None) == ["1", "2", "5:12", "5:13"]
    assert js("previews", body, {"nodes": [{"id": 3, "type": "SaveVideo"}]}, {}) == []
    assert js("previews", body, None, {}) == []
