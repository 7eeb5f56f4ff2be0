"""Nodes that kill ComfyUI or end a prompt at a chosen moment.

Files in the base directory say when, so that the graph stays the same before and after.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import ComfyExtension, io

BASE = Path(folder_paths.base_path)

# The method, and whether before or after it: the same moments as in tests/runner/driver.py.
POINTS = {
    "reserved": ("ledger.ledger", "Ledger", "claim", "after"),
    "before the mark": ("ledger.ledger", "Ledger", "begin_post", "before"),
    "after the mark": ("ledger.ledger", "Ledger", "begin_post", "after"),
    "answered": ("ledger.ledger", "Ledger", "record_task", "before"),
    "recorded": ("ledger.ledger", "Ledger", "record_task", "after"),
    "first poll": ("api.client", "ServiceClient", "result", "before"),
    "succeeded": ("ledger.ledger", "Ledger", "record_result", "before"),
    "link recorded": ("ledger.ledger", "Ledger", "record_result", "after"),
    "renamed": ("ledger.ledger", "Ledger", "record_saved", "before"),
    "saved": ("ledger.ledger", "Ledger", "record_saved", "after"),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    module, owner_name, method, when = POINTS[point]
    [root] = {name.removesuffix(".extension") for name in sys.modules if name.endswith("wan27-video.nodes.extension")}
    owner = getattr(importlib.import_module(f"{root}.{module}"), owner_name)
    original = getattr(owner, method)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            die()
        result = original(*args, **kwargs)
        if when == "after":
            die()
        return result

    setattr(owner, method, wrapped)


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
