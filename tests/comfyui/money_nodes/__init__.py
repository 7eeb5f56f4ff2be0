"""Nodes that kill ComfyUI or end a prompt at a chosen moment.

Files in the base directory say when, so that the graph stays the same before and after.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import sys
from pathlib import Path

import folder_paths
from comfy_api.latest import ComfyExtension, io

BASE = Path(folder_paths.base_path)

# ComfyUI does not know the package of the tests, only this folder, through a link.
_SPEC = importlib.util.spec_from_file_location(
    "wan27_crash_points", Path(__file__).resolve().parents[2] / "crash_points.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
crash_points = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(crash_points)


def die() -> None:
    os.kill(os.getpid(), 9)  # Windows has no name for it


def arm(name: str) -> None:
    [root] = {name.removesuffix(".extension") for name in sys.modules if name.endswith("wan27-video.nodes.extension")}
    crash_points.arm(crash_points.POINTS[name], die, lambda module: importlib.import_module(f"{root}.{module}"))


class KillAt(io.ComfyNode):
    """Returns the prompt. If there is a file `kill-at`, ComfyUI is killed at the moment that it names."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestKillAt", inputs=[io.String.Input("prompt")], outputs=[io.String.Output()], not_idempotent=True
        )

    @classmethod
    def fingerprint_inputs(cls, prompt: str) -> float:
        return float("nan")

    @classmethod
    def execute(cls, prompt: str) -> io.NodeOutput:
        order = BASE / "kill-at"
        if order.exists():
            point = order.read_text()
            order.unlink()
            arm(point)
        return io.NodeOutput(prompt)


class FailLater(io.ComfyNode):
    """Fails as soon as there is a file `fail-now`, and succeeds as soon as there is a file `fail-never`."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="TestFailLater", inputs=[], outputs=[], is_output_node=True, not_idempotent=True)

    @classmethod
    def fingerprint_inputs(cls) -> float:
        return float("nan")

    @classmethod
    async def execute(cls) -> io.NodeOutput:
        while not (BASE / "fail-never").exists():
            if (BASE / "fail-now").exists():
                raise RuntimeError("the sibling failed")
            await asyncio.sleep(0.02)
        return io.NodeOutput()


class Prompts(io.ComfyNode):
    """Returns a list of different prompts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestPrompts", inputs=[io.Int.Input("count")], outputs=[io.String.Output(is_output_list=True)]
        )

    @classmethod
    def execute(cls, count: int) -> io.NodeOutput:
        return io.NodeOutput([f"prompt number {number}" for number in range(count)])


class MoneyNodes(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [KillAt, FailLater, Prompts]


async def comfy_entrypoint() -> MoneyNodes:
    return MoneyNodes()
