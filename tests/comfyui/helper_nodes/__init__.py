"""Nodes that only tests use: odd inputs that no core node makes, and a look at the outputs of nodes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import torch
from comfy_api.latest import ComfyExtension, io


class OddImage(io.ComfyNode):
    """Odd batches of images."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestOddImage",
            inputs=[
                io.Combo.Input("kind", options=["empty", "nan", "plain"]),
                io.Int.Input("width", default=320, min=1, max=16384),
                io.Int.Input("height", default=320, min=1, max=16384),
                io.Float.Input("grey", default=0.5),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, kind: str, width: int, height: int, grey: float) -> io.NodeOutput:
        image = torch.full((0 if kind == "empty" else 1, height, width, 3), grey)
        if kind == "nan":
            image[0, 7, 11, 1] = float("nan")
        return io.NodeOutput(image)


class Keep(io.ComfyNode):
    """Keeps any input, lists too. Tensors go to .npy files in output/kept, everything else to the history."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestKeep",
            inputs=[io.AnyType.Input("value")],
            outputs=[],
            is_input_list=True,
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, value: list[Any]) -> io.NodeOutput:
        folder = Path(folder_paths.get_output_directory()) / "kept"
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{cls.hidden.unique_id}-{len(list(folder.iterdir()))}"
        return io.NodeOutput(ui={"kept": [_kept(item, folder, f"{stem}-{n}") for n, item in enumerate(value)]})


def _kept(value: Any, folder: Path, stem: str) -> Any:
    if isinstance(value, torch.Tensor):
        np.save(folder / f"{stem}.npy", value.numpy())
        return {"tensor": str(folder / f"{stem}.npy")}
    if isinstance(value, dict):
        return {key: _kept(item, folder, f"{stem}-{key}") for key, item in value.items()}
    return value if isinstance(value, (str, int, float, bool)) else repr(value)


class LoadedFiles(io.ComfyNode):
    """Returns the module names under which each file of a folder is loaded in this process."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestLoadedFiles",
            inputs=[io.String.Input("folder")],
            outputs=[],
            is_output_node=True,
            not_idempotent=True,
        )

    @classmethod
    def execute(cls, folder: str) -> io.NodeOutput:
        found: dict[str, list[str]] = {}
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file and Path(folder) in Path(file).resolve().parents:
                found.setdefault(str(Path(file).resolve()), []).append(name)
        return io.NodeOutput(ui={"files": [found], "modules": sorted(sys.modules)})


class Helpers(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [OddImage, Keep, LoadedFiles]


async def comfy_entrypoint() -> Helpers:
    return Helpers()
