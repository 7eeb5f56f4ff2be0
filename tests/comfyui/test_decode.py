"""Decode Video in a real ComfyUI: only linked outputs are decoded, and the cache never returns less than that."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.comfyui.graphs import kept
from tests.conftest import Measured
from tests.host.comfy import ComfyUI, Graph
from tests.media_files import Clip, repeated, write
from tests.media_reading import reference, same_frames

DECODE = {"start_time": 0.0, "duration": 0.0, "every_nth": 1, "max_frames": 0, "max_side": 0}


def graph_of(file: str, *outputs: int, **inputs: Any) -> tuple[Graph, str, dict[int, str]]:
    """Return a graph whose Decode node has these outputs linked, in this order; ids are the same in every graph."""
    graph = Graph()
    video = graph.add("LoadVideo", file=file)
    node = graph.add("Wan27DecodeVideo", video=(video, 0), **{**DECODE, **inputs})
    return graph, node, {output: graph.add("TestKeep", value=(node, output)) for output in outputs}


def test_decode_output_linked_later_is_decoded_then(comfy: ComfyUI, tmp_path: Path) -> None:
    path = write(tmp_path / "later.mp4", Clip())
    name, frames = comfy.upload("later.mp4", path.read_bytes()), reference(path)

    graph, _, ends = graph_of(name, 4)
    alone = comfy.run(graph)
    assert same_frames(kept(alone, ends[4])[0], frames[-1:])

    graph, _, ends = graph_of(name, 4, 0)
    both = comfy.run(graph)
    assert same_frames(kept(both, ends[0])[0], frames)
    assert same_frames(kept(both, ends[4])[0], frames[-1:])

    graph, _, ends = graph_of(name, 4, 0, 1, 2, 3)
    everything = comfy.run(graph)
    assert same_frames(kept(everything, ends[0])[0], frames)
    assert kept(everything, ends[1])[0]["waveform"].shape == (1, 2, 96000)
    assert (kept(everything, ends[2]), kept(everything, ends[3])) == ([10], [20])


def test_decode_takes_a_core_video_of_any_kind(comfy: ComfyUI, tmp_path: Path) -> None:
    path = write(tmp_path / "core.mp4", Clip())
    name = comfy.upload("core.mp4", path.read_bytes())
    graph = Graph()
    parts = graph.add("GetVideoComponents", video=(graph.add("LoadVideo", file=name), 0))
    whole = graph.add("TestKeep", value=(parts, 0))
    video = graph.add("CreateVideo", images=(parts, 0), audio=(parts, 1), fps=(parts, 2))
    node = graph.add("Wan27DecodeVideo", video=(video, 0), **{**DECODE, "start_time": 1.0})
    images, count = graph.add("TestKeep", value=(node, 0)), graph.add("TestKeep", value=(node, 3))

    run = comfy.run(graph)

    assert np.array_equal(kept(run, images)[0], kept(run, whole)[0][10:])
    assert kept(run, count) == [10]


def test_decode_of_a_broken_file_is_an_error_on_the_node(comfy: ComfyUI, tmp_path: Path) -> None:
    path = write(tmp_path / "broken.mp4", Clip(mux={"movflags": "faststart"}))
    name = comfy.upload("broken.mp4", path.read_bytes())
    graph, node, _ = graph_of(name, 0, start_time=7.5)

    run = comfy.run(graph)

    assert run.error is not None
    assert run.error.node == node
    assert "no frame between start_time 7.5 s" in run.error.message
    assert str(tmp_path) not in run.error.message


def test_decode_is_interrupted(comfy: ComfyUI, tmp_path: Path, measured: Measured) -> None:
    """Decode a long clip but keep one frame in a hundred, so that decoding takes most of the time."""
    second = write(tmp_path / "second.mp4", Clip(size=(640, 480), frames=30, fps=30, audio=None))
    path = repeated(tmp_path / "long.mp4", second, 150)
    graph, node, ends = graph_of(comfy.upload("long.mp4", path.read_bytes()), 0, every_nth=100)
    run = comfy.queue(graph).wait_for(lambda run: any(of == node and 0 < at < top for of, at, top in run.progress))

    began = time.monotonic()
    comfy.interrupt()
    run.wait()

    measured(f"interrupt while decoding: the prompt ended after {time.monotonic() - began:.2f} s")
    assert run.interrupted
    assert run.error is None
    again = comfy.run(graph)
    assert kept(again, ends[0])[0].shape == (45, 480, 640, 3)
    ticks = [at for of, at, _ in again.progress if of == node]
    assert ticks == sorted(ticks)
    assert len(set(ticks)) > 2
