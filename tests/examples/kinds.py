"""Types of nodes: their sockets and widgets, in the order the frontend shows them.

`python3 -m tests.host python -m tests.examples.kinds` asks a real ComfyUI and writes core_nodes.json. The pack's own
nodes come from the snapshot tests/comfyui/object_info.json.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.comfyui import snapshot
from tests.host.comfy import ComfyUI

CORE = Path(__file__).with_name("core_nodes.json")
CORE_TYPES = (
    *("CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler", "VAEDecode"),
    *("LoadImage", "LoadVideo", "ImageBatch", "ImageFromBatch", "ImageSharpen", "CreateVideo"),
    *("SaveVideo", "PreviewAny", "PreviewAudio", "PreviewImage", "PrimitiveStringMultiline", "RegexExtract"),
)
WIDGETS = {"STRING", "INT", "FLOAT", "BOOLEAN", "COMBO"}

FRONTEND_VALUES: dict[str, list[Any]] = {"LoadImage": ["image"], "LoadVideo": ["image"]}
"""Values of widgets that only the frontend has. A saved workflow contains them after those of the node."""


@dataclass(frozen=True)
class Input:
    name: str
    type: str
    optional: bool
    default: Any
    control: bool  # the frontend adds a "control after generate" widget after it

    @property
    def is_widget(self) -> bool:
        return self.type in WIDGETS


@dataclass(frozen=True)
class Output:
    name: str
    type: str
    is_list: bool


@dataclass(frozen=True)
class Kind:
    """A type of node."""

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]

    def input(self, name: str) -> tuple[int, Input]:
        return next((at, found) for at, found in enumerate(self.inputs) if found.name == name)

    def output(self, name: str) -> tuple[int, Output]:
        return next((at, found) for at, found in enumerate(self.outputs) if found.name == name)


@cache
def kinds() -> dict[str, Kind]:
    known = json.loads(CORE.read_text()) | json.loads(snapshot.FILE.read_text())
    return {name: _kind(entry) for name, entry in known.items()}


def _kind(entry: dict[str, Any]) -> Kind:
    inputs = tuple(
        Input(
            each["name"],
            each["type"],
            each["kind"] == "optional",
            each.get("default", (each.get("options") or [None])[0]),
            bool(each.get("control_after_generate")),
        )
        for each in entry["inputs"]
        if each["kind"] != "hidden"
    )
    return Kind(inputs, tuple(Output(each["name"], each["type"], each["list"]) for each in entry["outputs"]))


def learn(object_info: dict[str, Any]) -> str:
    """Return core_nodes.json: the nodes of CORE_TYPES in the snapshot's format, without models and files."""
    entries = {name: snapshot.node(object_info[name]) for name in sorted(CORE_TYPES)}
    for entry in entries.values():
        for each in entry["inputs"]:
            if isinstance(each["type"], list):  # how core's older nodes declare COMBO
                each["options"], each["type"] = each["type"], "COMBO"
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as base, ComfyUI(Path(base)) as comfy:
        CORE.write_text(learn(comfy.get_json("/object_info")))
    print(CORE)


if __name__ == "__main__":
    main()
