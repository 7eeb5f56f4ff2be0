from __future__ import annotations

import json
from typing import Any

import pytest

from tests.browser.conftest import RENDERERS, Frontend
from tests.comfyui import example
from tests.host.comfy import ComfyUI

OPEN = """async workflow => {
    await app.loadGraphData(workflow, true, true, "first_frame_with_audio");
    return app.graph.nodes.map(node => ({
        id: node.id, type: node.type, known: node.type in LiteGraph.registered_node_types, errors: !!node.has_errors
    }));
}"""
TO_PROMPT = "async () => (await app.graphToPrompt()).output"


@pytest.fixture
def inputs(frontend_comfy: ComfyUI) -> None:
    """Upload the input files before the frontend loads: the node definitions list them."""
    example.upload_inputs(frontend_comfy)


@pytest.fixture
def opened(inputs: None, frontend: Frontend) -> list[dict[str, Any]]:
    """The example in the frontend, with the files it names in the input folder."""
    nodes: list[dict[str, Any]] = frontend.page.evaluate(OPEN, json.loads(example.WORKFLOW.read_text()))
    return nodes


@pytest.mark.parametrize("renderer", RENDERERS)
def test_example_opens_complete_and_without_complaints(
    renderer: str, opened: list[dict[str, Any]], frontend: Frontend, request: pytest.FixtureRequest
) -> None:
    workflow = json.loads(example.WORKFLOW.read_text())
    frontend.render_with(renderer)
    if renderer == "vue":
        drawn = "count => document.querySelectorAll('[data-node-id]').length >= count"
        frontend.page.wait_for_function(drawn, arg=len(workflow["nodes"]))
    frontend.shot(f"example-{request.node.callspec.params['frontend_comfy']}-{renderer}")

    assert [node["type"] for node in opened if not node["known"] or node["errors"]] == []
    assert _types(opened) == _types(workflow["nodes"])
    assert "\n".join(frontend.dialogs()) == ""
    assert "\n".join(frontend.complaints()) == ""


def _types(nodes: list[dict[str, Any]]) -> dict[str, str]:
    return {str(node["id"]): node["type"] for node in nodes}


def test_example_api_twin_is_what_the_frontend_makes_of_it(opened: list[dict[str, Any]], frontend: Frontend) -> None:
    twin = json.loads(example.API_TWIN.read_text())

    assert sent_prompt(frontend.page.evaluate(TO_PROMPT), twin) == twin


def sent_prompt(prompt: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """Return a prompt without what core's nodes have besides: the frontend's audio player, inputs of newer cores."""
    return {
        node: {
            "class_type": entry["class_type"],
            "inputs": {
                name: value
                for name, value in entry["inputs"].items()
                if entry["class_type"].startswith("Wan27") or name in expected.get(node, {}).get("inputs", {})
            },
        }
        for node, entry in prompt.items()
    }
