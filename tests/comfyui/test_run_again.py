"""Queueing the same graph again: what is stale is created or fetched again, and nothing else."""

from __future__ import annotations

from tests.comfyui.graphs import SMALL, Pair, pair, upload_image
from tests.host.comfy import ComfyUI, Graph
from tests.media_files import photo, png
from tests.service import Service


def graph_of(comfy: ComfyUI, seed: int, **inputs: str) -> tuple[Graph, Pair]:
    graph = Graph()
    image = upload_image(graph, comfy.upload("again.png", png(photo(320, 320, seed=11))))
    return graph, pair(graph, image_url=(image, 0), seed=seed, **SMALL, **inputs)


def test_failed_task_is_submitted_again(comfy: ComfyUI, service: Service) -> None:
    service.faults({"at": "task", "kind": "fail", "reason": "InternalError: set by a test"})
    graph, made = graph_of(comfy, seed=51)

    first = comfy.run(graph)
    second = comfy.run(graph)

    assert first.error
    assert "InternalError" in first.error.message
    assert second.error is None
    assert len(second.files(made.wait)) == 1
    assert len(service.posts()) == 2


def test_deleted_video_is_fetched_again(comfy: ComfyUI, service: Service) -> None:
    graph, made = graph_of(comfy, seed=52)

    [path] = comfy.run(graph).files(made.wait)
    before = path.read_bytes()
    path.unlink()
    [again] = comfy.run(graph).files(made.wait)

    assert again.read_bytes() == before
    assert len(service.posts()) == 1


def test_unchanged_graph_runs_nothing_again(comfy: ComfyUI, service: Service) -> None:
    graph, made = graph_of(comfy, seed=53)

    first, second = comfy.run(graph), comfy.run(graph)

    assert second.files(made.wait) == first.files(made.wait)
    assert len(service.posts()) == 1


def test_submit_again_pays_for_another_one_each_time(comfy: ComfyUI, service: Service) -> None:
    graph, made = graph_of(comfy, seed=54, on_repeat="submit_again")

    files = [comfy.run(graph).files(made.wait)[0] for _ in range(2)]

    assert len(set(files)) == 2
    assert len(service.posts()) == 2
