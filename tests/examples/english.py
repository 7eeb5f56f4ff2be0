"""locales/en/nodeDefs.json, made from the nodes themselves.

`python3 -m tests.host python -m tests.examples.english` writes it; a test fails when it is out of date.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from tests.host.comfy import REPO, ComfyUI

FILE = REPO / "locales" / "en" / "nodeDefs.json"


def node_defs(object_info: dict[str, Any]) -> dict[str, Any]:
    """Return the texts of the pack's nodes in the format of the frontend's translations."""
    return {name: _node(info) for name, info in object_info.items() if name.startswith("Wan27")}


def _node(info: dict[str, Any]) -> dict[str, Any]:
    names = [(kind, name) for kind, listed in info["input_order"].items() if kind != "hidden" for name in listed]
    return {
        "display_name": info["display_name"],
        "description": info["description"],
        "inputs": {name: _input(name, info["input"][kind][name]) for kind, name in names},
        "outputs": {
            str(at): {"name": name, "tooltip": tooltip}
            for at, (name, tooltip) in enumerate(zip(info["output_name"], info["output_tooltips"], strict=True))
        },
    }


def _input(name: str, spec: list[Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "tooltip": spec[1]["tooltip"]}
    options = spec[0] if isinstance(spec[0], list) else spec[1].get("options")
    if options:
        entry["options"] = {option: option for option in options}
    return entry


def main() -> None:
    with tempfile.TemporaryDirectory() as base, ComfyUI(Path(base)) as comfy:
        FILE.write_text(json.dumps(node_defs(comfy.get_json("/object_info")), indent=2, ensure_ascii=False) + "\n")
    print(FILE)


if __name__ == "__main__":
    main()
