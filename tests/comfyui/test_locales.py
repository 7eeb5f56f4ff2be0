"""The Chinese texts of the nodes: complete, and with the same numbers as the English ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.host.comfy import ComfyUI

_NUMBER = re.compile(r"\d+")


def _numbers(text: str) -> list[str]:
    return sorted(_NUMBER.findall(text.replace("Wan 2.7", "")))


def _texts(info: dict[str, Any], told: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(where, English, Chinese) of every text of a node."""
    yield "display_name", info["display_name"], told["display_name"]
    yield "description", info["description"], told["description"]
    inputs = {name: spec for kind in ("required", "optional") for name, spec in info["input"].get(kind, {}).items()}
    assert set(told["inputs"]) == set(inputs)
    for name, spec in inputs.items():
        yield name, spec[1]["tooltip"], told["inputs"][name]["tooltip"]
    assert len(told["outputs"]) == len(info["output"])
    for index, tooltip in enumerate(info["output_tooltips"]):
        yield f"output {index}", tooltip, told["outputs"][str(index)]["tooltip"]


def test_chinese_texts_have_the_same_numbers(comfy: ComfyUI) -> None:
    chinese = comfy.get_json("/i18n")["zh"]["nodeDefs"]
    nodes = {name: info for name, info in comfy.get_json("/object_info").items() if name.startswith("Wan27")}

    assert {name for name in chinese if name.startswith("Wan27")} == set(nodes)
    for name, info in nodes.items():
        for where, english, text in _texts(info, chinese[name]):
            assert re.search(r"[\u4e00-\u9fff]", text), f"{name} {where}"
            assert _numbers(text) == _numbers(english), f"{name} {where}: {text}"
            # The frontend's translations give these a meaning of their own.
            assert not set("{}|@") & set(text), f"{name} {where}"
