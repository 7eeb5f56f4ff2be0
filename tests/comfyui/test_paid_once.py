"""A task that was paid for is collected, whatever happened to the one who waited."""

from __future__ import annotations

from tests.comfyui.graphs import SMALL, Pair, pair, upload_image
from tests.host.comfy import ComfyUI, Graph
from tests.host.fixtures import ComfyFactory, connected
from tests.media_files import photo, png
from tests.service import Service

SLOW = {"at": "task", "kind": "slow", "seconds": 8, "count": None}


def _graph(comfy: ComfyUI, seed: int) -> tuple[Graph, Pair]:
    graph = Graph()
    image = upload_image(graph, comfy.upload("paid.png", png(photo(320, 320, seed=10))))
    return graph, pair(graph, image_url=(image, 0), seed=seed, **SMALL)


def test_interrupted_and_queued_again(comfy: ComfyUI, service: Service) -> None:
    service.faults(SLOW)
    graph, made = _graph(comfy, seed=31)

    run = comfy.queue(graph).wait_for(lambda run: bool(run.texts_of(made.wait)))
    comfy.interrupt()
    run.wait()
    again = comfy.run(graph)

    assert run.interrupted
    assert run.error is None
    assert len(again.files(made.wait)) == 1
    assert len(service.posts()) == 1


def test_killed_and_started_again(start_comfy: ComfyFactory, service: Service) -> None:
    service.faults(SLOW)
    comfy = start_comfy(env=connected(service))
    graph, made = _graph(comfy, seed=32)

    comfy.queue(graph).wait_for(lambda run: bool(run.texts_of(made.wait)))
    comfy.kill()
    comfy.start()
    again = comfy.run(graph)

    assert len(again.files(made.wait)) == 1
    assert len(service.posts()) == 1
