"""Every example and every blueprint in the frontends: all of them in one page, because opening one is the slow part."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tests.browser.conftest import Frontend
from tests.browser.test_example_workflow import OPEN, TO_PROMPT, sent_prompt
from tests.comfyui.graphs import SECONDS
from tests.demo import play
from tests.examples import blueprints, workflows
from tests.examples.blueprints import ROOT_ID, Blueprint
from tests.examples.build import BLUEPRINTS, WORKFLOWS
from tests.examples.inputs import CLIP_SECONDS, put_inputs
from tests.host.comfy import ComfyUI, Prompt
from tests.service import Service

OFFERED = """() => document.querySelector("#vue-app").__vue_app__.config.globalProperties.$pinia._s.get("nodeDef")
    .nodeDefs.filter(each => each.name.startsWith("SubgraphBlueprint."))
    .map(each => [each.display_name, each.description])"""
"""Name and description of the blueprints that the frontend offers."""


@pytest.fixture
def inputs(frontend_comfy: ComfyUI) -> None:
    """Upload the input files before the frontend loads: the node definitions list them."""
    put_inputs(frontend_comfy)


@pytest.fixture
def ready(inputs: None, frontend: Frontend) -> Frontend:
    return frontend


def test_examples_open_without_complaints_and_queue_what_the_tests_run(
    ready: Frontend, request: pytest.FixtureRequest
) -> None:
    for name, sheet in workflows.sheets().items():
        workflow = json.loads((WORKFLOWS / f"{name}.json").read_text())
        nodes = ready.page.evaluate(OPEN, workflow)
        ready.shot(f"{name}-{request.node.callspec.params['frontend_comfy']}")
        assert [node["type"] for node in nodes if not node["known"] or node["errors"]] == [], name
        assert "\n".join(ready.dialogs()) == "", name
        assert sent_prompt(ready.page.evaluate(TO_PROMPT), sheet.prompt()) == sheet.prompt(), name
    assert "\n".join(ready.complaints()) == ""


def test_blueprints_are_offered_by_the_frontend(ready: Frontend) -> None:
    wanted = {blueprint.name: blueprint.description for blueprint in blueprints.blueprints()}
    # The frontend loads them beside everything else.
    ready.page.wait_for_function(f"count => ({OFFERED})().length >= count", arg=len(wanted))

    offered = dict(ready.page.evaluate(OFFERED))

    assert {name: offered.get(name) for name in wanted} == wanted


def test_blueprints_run(ready: Frontend, service: Service, request: pytest.FixtureRequest) -> None:
    prompts = {}
    for blueprint in blueprints.blueprints():
        saved = json.loads((BLUEPRINTS / f"{blueprint.name}.json").read_text())
        ready.page.evaluate(OPEN, in_use(blueprint, saved))
        ready.shot(f"{blueprint.name}-{request.node.callspec.params['frontend_comfy']}")
        assert "\n".join(ready.dialogs()) == "", blueprint.name
        prompts[blueprint.name] = ready.page.evaluate(TO_PROMPT)
    for name, prompt in prompts.items():
        run_blueprint(ready, name, prompt)
    assert len(service.posts()) == sum(len(_all(prompt, "Wan27ImageToVideo")) for prompt in prompts.values())
    assert "\n".join(ready.complaints()) == ""


def run_blueprint(frontend: Frontend, name: str, prompt: Prompt) -> None:
    """Run what the frontend queues for a blueprint; its values are those of the blueprint."""
    for number, node in enumerate(_all(prompt, "Wan27ImageToVideo")):
        inputs = prompt[node]["inputs"]
        assert inputs["resolution"] == "720P", name
        inputs["prompt"] = f"{name} {number}"  # not a request of another test, which would not be sent again
        inputs["duration"] = SECONDS + (CLIP_SECONDS if inputs["first_clip_url"] else 0)
    run = frontend.comfy.run(prompt)
    (mp4,) = run.files(_only(prompt, "SaveVideo"))
    assert play(mp4).frames > 0, name
    assert len(run.files(_only(prompt, "PreviewImage"))) == 1, name


def _all(prompt: Prompt, class_type: str) -> list[str]:
    return [node for node, entry in prompt.items() if entry["class_type"] == class_type]


def _only(prompt: Prompt, class_type: str) -> str:
    (found,) = _all(prompt, class_type)
    return found


def in_use(blueprint: Blueprint, saved: dict[str, Any]) -> dict[str, Any]:
    """A workflow with the blueprint's node in it, and something on every side of it."""
    workflow = copy.deepcopy(saved)
    (root,) = workflow["nodes"]
    loaders: dict[str, tuple[str, list[Any]]] = {
        "IMAGE": ("LoadImage", ["example.png", "image"]),
        "AUDIO": ("LoadAudio", ["wan27_example.wav", None, ""]),
        "VIDEO": ("LoadVideo", [workflows.CLIP, "image"]),
    }

    def link(origin: int, origin_slot: int, target: int, target_slot: int, type_: str) -> int:
        workflow["links"].append([len(workflow["links"]) + 1, origin, origin_slot, target, target_slot, type_])
        return len(workflow["links"])

    def node(type_: str, at: int, inputs: list[Any], outputs: list[Any], values: list[Any]) -> None:
        workflow["nodes"].append(
            {
                "id": at,
                "type": type_,
                "pos": [500 if inputs else -400, (at - 10) * 380],
                "size": [300, 300],
                "flags": {},
                "order": 0 if outputs else 9,
                "mode": 0,
                "inputs": inputs,
                "outputs": outputs,
                "properties": {"Node name for S&R": type_},
                "widgets_values": values,
            }
        )

    for slot, each in enumerate(root["inputs"]):
        if each["type"] in loaders:
            type_, values = loaders[each["type"]]
            each["link"] = link(10 + slot, 0, ROOT_ID, slot, each["type"])
            output = {"name": each["type"], "type": each["type"], "links": [each["link"]]}
            node(type_, 10 + slot, [], [output], values)
    takers: list[tuple[int, str, str, str, list[Any]]] = [
        (20, "video", "SaveVideo", "video", ["video/wan27_blueprint", "auto", "auto"]),
        (21, "last_frame", "PreviewImage", "images", []),
    ]
    for at, name, type_, socket, values in takers:
        slot = [each["name"] for each in root["outputs"]].index(name)
        output = root["outputs"][slot]
        into = link(ROOT_ID, slot, at, 0, output["type"])
        output["links"] = [into]
        node(type_, at, [{"name": socket, "type": output["type"], "link": into}], [], values)
    return workflow
