"""Pieces of graphs that most tests need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.host.comfy import Graph, Run
from tests.service import Service

SECONDS = 2
SMALL: dict[str, Any] = {"resolution": "720P", "duration": SECONDS}
"""Short and small, because rendering takes most of the time."""

DEFAULTS: dict[str, Any] = {
    "prompt": "",
    "negative_prompt": "",
    "resolution": "1080P",
    "duration": 5,
    "seed": 0,
    "prompt_extend": True,
    "watermark": False,
    "on_repeat": "reuse",
}


@dataclass(frozen=True)
class Pair:
    """An Image to Video node and the Wait node behind it."""

    submit: str
    wait: str


def submit(graph: Graph, **inputs: Any) -> str:
    return graph.add("Wan27ImageToVideo", **{**DEFAULTS, **inputs})


def wait(graph: Graph, task_id: Any) -> str:
    return graph.add("Wan27WaitForVideo", task_id=task_id, timeout_minutes=10.0)


def pair(graph: Graph, **inputs: Any) -> Pair:
    node = submit(graph, **inputs)
    return Pair(node, wait(graph, (node, 0)))


def upload_image(graph: Graph, image: Any, *, on_limit: str = "fit") -> str:
    """Add Upload Image.

    Args:
        image: The name of a file in the input folder, or a link.
    """
    if isinstance(image, str):
        image = (graph.add("LoadImage", image=image), 0)
    return graph.add("Wan27UploadImage", image=image, on_limit=on_limit, format="auto")


def upload_audio(graph: Graph, name: str, *, on_limit: str = "fit") -> str:
    audio = graph.add("LoadAudio", audio=name)
    return graph.add("Wan27UploadAudio", audio=(audio, 0), on_limit=on_limit, format="auto")


def upload_video(graph: Graph, name: str, *, on_limit: str = "fit") -> str:
    video = graph.add("LoadVideo", file=name)
    return graph.add("Wan27UploadVideo", video=(video, 0), on_limit=on_limit)


@dataclass(frozen=True)
class Decode:
    """A Decode node, and the TestKeep nodes that keep its outputs."""

    node: str
    first: str
    last: str
    audio: str
    fps: str
    count: str


def decode(graph: Graph, video: tuple[str, int]) -> Decode:
    node = graph.add(
        "Wan27DecodeVideo", video=video, start_time=0.0, duration=0.0, every_nth=1, max_frames=0, max_side=0
    )
    first = graph.add("ImageFromBatch", image=(node, 0), batch_index=0, length=1)
    kept = [graph.add("TestKeep", value=link) for link in ((first, 0), (node, 4), (node, 1), (node, 2), (node, 3))]
    return Decode(node, *kept)


def keep(graph: Graph, link: tuple[str, int]) -> str:
    return graph.add("TestKeep", value=link)


def kept(run: Run, node: str) -> list[Any]:
    """Return what a TestKeep node was given: a list with one entry for each item; tensors as arrays."""
    return [_loaded(value) for value in run.outputs[node]["kept"]]


def _loaded(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"tensor"}:
        array: NDArray[np.float32] = np.load(value["tensor"])
        return array
    if isinstance(value, dict):
        return {name: _loaded(item) for name, item in value.items()}
    return value


def overlapped(service: Service, task_ids: list[str]) -> bool:
    """Return whether all of these tasks were submitted before any of them was done, by the service's own clock."""
    times = [service.task(task_id)["extra"]["debug_info"] for task_id in task_ids]
    return max(int(t["submit_time_ms"]) for t in times) < min(int(t["complete_time_ms"]) for t in times)
