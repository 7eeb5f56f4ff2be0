"""The nodes as shared workflows know them.

`python3 -m tests.host python -m tests.comfyui.snapshot` writes the snapshot. An id, a socket or a combo value that
has landed never changes and is never removed, because shared workflows would break. Adding is fine, but only at the
end: links name an output by its position, and the values of widgets are stored in the order of the inputs.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from tests.host.comfy import ComfyUI

FILE = Path(__file__).with_name("object_info.json")
NODES = {
    "Wan27UploadImage",
    "Wan27UploadAudio",
    "Wan27UploadVideo",
    "Wan27ImageToVideo",
    "Wan27WaitForVideo",
    "Wan27DecodeVideo",
    "Wan27JoinVideos",
}
_FREE = {"tooltip", "placeholder", "advanced"}
"""Texts, which may be improved at any time, and what only newer cores have."""


def take(object_info: dict[str, Any]) -> str:
    """Return ids, sockets, types, combo values, defaults, limits and their order as JSON."""
    nodes = {name: node(info) for name, info in sorted(object_info.items()) if name.startswith("Wan27")}
    return json.dumps(nodes, indent=2, ensure_ascii=False) + "\n"


def node(info: dict[str, Any]) -> dict[str, Any]:
    return {
        "display_name": info["display_name"],
        "category": info["category"],
        "output_node": info["output_node"],
        "api_node": info.get("api_node", False),
        "inputs": [
            {"name": name, "kind": kind, **_input(info["input"][kind][name])}
            for kind, names in info["input_order"].items()
            for name in names
        ],
        "outputs": [
            {"name": name, "type": type_, "list": is_list}
            for name, type_, is_list in zip(info["output_name"], info["output"], info["output_is_list"], strict=True)
        ],
    }


def _input(spec: list[Any]) -> dict[str, Any]:
    options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
    return {"type": spec[0], **{name: value for name, value in sorted(options.items()) if name not in _FREE}}


def main() -> None:
    with tempfile.TemporaryDirectory() as base, ComfyUI(Path(base)) as comfy:
        FILE.write_text(take(comfy.get_json("/object_info")))
    print(FILE)


if __name__ == "__main__":
    main()
