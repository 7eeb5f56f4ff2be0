"""The service's errors reach the user, on the node they are about."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.comfyui.graphs import SMALL, pair, upload_image
from tests.host.comfy import ComfyUI, Graph
from tests.media_files import photo, png
from tests.service import KEY, Service

ILLEGAL = {
    "at": "submit",
    "kind": "error",
    "status": 400,
    "reason": "ILLEGAL_PROMPT",
    "message": "the prompt is unsafe",
}
POOR = {"at": "submit", "kind": "error", "status": 403, "reason": "BILLING_BALANCE_NOT_ENOUGH", "message": "no money"}
FAILED = {"at": "task", "kind": "fail", "reason": "DataInspectionFailed: the image was refused"}

CASES: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "a refused prompt": (ILLEGAL, "submit", ["the prompt is unsafe"]),
    "an empty balance": (POOR, "submit", ["BALANCE_NOT_ENOUGH", "no money", "credit"]),
    "a failed task": (FAILED, "wait", ["DataInspectionFailed", "the image was refused"]),
}


@pytest.mark.parametrize("case", CASES)
def test_service_error_is_readable_on_the_node(case: str, comfy: ComfyUI, service: Service) -> None:
    fault, failing, words = CASES[case]
    service.faults(fault)
    graph = Graph()
    image = upload_image(graph, comfy.upload("error.png", png(photo(320, 320, seed=9))))
    made = pair(graph, image_url=(image, 0), prompt=case, seed=21, **SMALL)

    run = comfy.run(graph)

    assert run.error
    assert run.error.node == getattr(made, failing)
    assert all(word in run.error.message for word in words), run.error.message
    assert "Traceback" not in run.error.message
    assert KEY not in json.dumps(run.history)
    assert KEY not in comfy.log
