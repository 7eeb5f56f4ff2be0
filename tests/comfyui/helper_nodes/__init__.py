"""Nodes that only tests use: odd inputs that no core node makes, and a look at the outputs of nodes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import torch
from comfy_api.latest import ComfyExtension, io
from comfy_execution.graph_utils import GraphBuilder


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


class SavesItself:
    """A VIDEO of another pack, with two methods of core's and nothing else."""

    def __init__(self, path: str) -> None:
        self._path = path

    def get_dimensions(self) -> tuple[int, int]:
        return 320, 240

    def save_to(self, path: str) -> None:
        shutil.copy(self._path, path)


class OddValue(io.ComfyNode):
    """None, or a VIDEO that can only save itself, for any socket."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestOddValue",
            inputs=[io.Combo.Input("kind", options=["none", "video"]), io.String.Input("file", default="")],
            outputs=[io.AnyType.Output()],
        )

    @classmethod
    def execute(cls, kind: str, file: str) -> io.NodeOutput:
        return io.NodeOutput(None if kind == "none" else SavesItself(folder_paths.get_annotated_filepath(file)))


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


class RequestLate(io.ComfyNode):
    """Requests `late` only once `first` has arrived, as switches and loops do."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestRequestLate",
            inputs=[io.AnyType.Input("first"), io.AnyType.Input("late", lazy=True)],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def check_lazy_status(cls, first: Any, late: Any = None) -> list[str]:
        return ["late"] if late is None else []

    @classmethod
    def execute(cls, first: Any, late: Any) -> io.NodeOutput:
        return io.NodeOutput(ui={"late": [str(late)]})


class SubmitLoop(io.ComfyNode):
    """Expands to an Image to Video node and, until `count` is used up, to itself: the loop that node packs make.

    `display_id` is what the nodes of the expansion show as; without it that is the id of the loop.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestSubmitLoop",
            inputs=[
                io.String.Input("image_url"),
                io.Int.Input("seed"),
                io.Int.Input("step"),
                io.Int.Input("count"),
                io.String.Input("display_id"),
                io.String.Input("before", default=""),
            ],
            outputs=[io.String.Output()],
            enable_expand=True,
        )

    @classmethod
    def execute(
        cls, image_url: str, seed: int, step: int, count: int, display_id: str, before: str = ""
    ) -> io.NodeOutput:
        if count == 0:
            return io.NodeOutput(before)
        graph = GraphBuilder()
        submit = graph.node(
            "Wan27ImageToVideo", prompt="a loop", negative_prompt="", resolution="720P", duration=2,
            seed=seed, prompt_extend=True, watermark=False, on_repeat="submit_again", image_url=image_url,
        )  # fmt: skip
        if display_id:
            submit.set_override_display_id(display_id)
        rest = graph.node(
            "TestSubmitLoop", image_url=image_url, seed=seed + step, step=step, count=count - 1, display_id=display_id,
            before=submit.out(0),
        )  # fmt: skip
        return io.NodeOutput(rest.out(0), expand=graph.finalize())


class Helpers(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [OddImage, OddValue, Keep, LoadedFiles, RequestLate, SubmitLoop]


async def comfy_entrypoint() -> Helpers:
    return Helpers()
