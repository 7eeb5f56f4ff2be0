from __future__ import annotations

import difflib

import pytest

from tests.comfyui import snapshot
from tests.host.comfy import ComfyUI

NODES = {
    "Wan27UploadImage",
    "Wan27UploadAudio",
    "Wan27UploadVideo",
    "Wan27ImageToVideo",
    "Wan27WaitForVideo",
    "Wan27DecodeVideo",
    "Wan27JoinVideos",
}


def test_object_info_is_what_workflows_rely_on(comfy: ComfyUI) -> None:
    landed = snapshot.FILE.read_text()
    now = snapshot.take(comfy.get_json("/object_info"))
    if now != landed:
        diff = difflib.unified_diff(landed.splitlines(), now.splitlines(), "landed", "now", lineterm="", n=4)
        pytest.fail("\n".join([*diff, "", snapshot.__doc__ or ""]), pytrace=False)


def test_object_info_has_a_tooltip_for_every_input_and_output(comfy: ComfyUI) -> None:
    info = {name: node for name, node in comfy.get_json("/object_info").items() if name.startswith("Wan27")}
    assert set(info) == NODES
    for name, node in info.items():
        assert node["description"], name
        assert node["category"] == "video/Wan 2.7"
        for kind in ("required", "optional"):
            for key, spec in node["input"].get(kind, {}).items():
                assert spec[1].get("tooltip"), f"{name}.{key}"
        assert all(node["output_tooltips"]), name
