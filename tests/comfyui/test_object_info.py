from __future__ import annotations

import difflib

import pytest

from tests.comfyui import snapshot
from tests.host.comfy import ComfyUI

ADVANCED = {
    "Wan27UploadImage.format",
    "Wan27UploadAudio.format",
    "Wan27ImageToVideo.prompt_extend",
    "Wan27ImageToVideo.watermark",
    "Wan27WaitForVideo.timeout_minutes",
}
"""Cores that know `advanced` fold these away. Nothing that may cost money is among them."""


def test_object_info_is_what_workflows_rely_on(comfy: ComfyUI) -> None:
    landed = snapshot.FILE.read_text()
    now = snapshot.take(comfy.get_json("/object_info"))
    if now != landed:
        diff = difflib.unified_diff(landed.splitlines(), now.splitlines(), "landed", "now", lineterm="", n=4)
        pytest.fail("\n".join([*diff, "", snapshot.__doc__ or ""]), pytrace=False)


def test_object_info_has_other_names_for_the_search_if_the_core_knows_them(comfy: ComfyUI) -> None:
    info = comfy.get_json("/object_info")
    if any(node.get("search_aliases") for name, node in info.items() if name not in snapshot.NODES):
        assert [name for name in snapshot.NODES if "wan2.7" not in (info[name]["search_aliases"] or ())] == []


def test_object_info_folds_away_what_few_need_if_the_core_can(comfy: ComfyUI) -> None:
    folded = {
        f"{name}.{key}"
        for name in snapshot.NODES
        for specs in comfy.get_json(f"/object_info/{name}")[name]["input"].values()
        for key, spec in specs.items()
        if len(spec) > 1 and spec[1].get("advanced")
    }
    assert folded in (set(), ADVANCED)


def test_object_info_has_a_tooltip_for_every_input_and_output(comfy: ComfyUI) -> None:
    info = {name: node for name, node in comfy.get_json("/object_info").items() if name.startswith("Wan27")}
    assert set(info) == snapshot.NODES
    for name, node in info.items():
        assert node["description"], name
        assert node["category"] == "video/Wan 2.7"
        for kind in ("required", "optional"):
            for key, spec in node["input"].get(kind, {}).items():
                assert spec[1].get("tooltip"), f"{name}.{key}"
        assert all(node["output_tooltips"]), name
