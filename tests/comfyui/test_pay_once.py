"""A queued prompt pays once for each request of a node, however often ComfyUI runs that node.

Without a cache, ComfyUI runs a node again when a lazy input, a loop or an expanded graph asks for its output later.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.comfyui.graphs import SMALL, pair, upload_image
from tests.host.comfy import ComfyUI, Graph
from tests.host.fixtures import HELPERS, connected
from tests.media_files import photo, png
from tests.service import Service


@pytest.fixture(scope="module")
def uncached(tmp_path_factory: pytest.TempPathFactory, shared_service: Service) -> Iterator[ComfyUI]:
    """A ComfyUI that keeps no outputs."""
    base = tmp_path_factory.mktemp("uncached")
    with ComfyUI(base, env=connected(shared_service), custom_nodes=[HELPERS], arguments=["--cache-none"]) as comfy:
        yield comfy


def image_of(graph: Graph, comfy: ComfyUI, count: int = 1) -> str:
    names = [comfy.upload("once.png", png(photo(320, 320, seed=61)))] * count
    images = [graph.add("LoadImage", image=name) for name in names]
    batch = images[0]
    for image in images[1:]:
        batch = graph.add("ImageBatch", image1=(batch, 0), image2=(image, 0))
    return upload_image(graph, (batch, 0))


@pytest.mark.parametrize("items", [1, 2])
def test_prompt_that_requests_task_id_late_pays_once_per_item(uncached: ComfyUI, service: Service, items: int) -> None:
    """Each of two equal items of a batch with submit_again is paid for, once in each prompt."""
    graph = Graph()
    url = image_of(graph, uncached, items)
    made = pair(graph, image_url=(url, 0), seed=60 + items, on_repeat="submit_again", **SMALL)
    late = graph.add("TestRequestLate", first=(made.wait, 0), late=(made.submit, 0))

    for prompts in (1, 2):
        run = uncached.run(graph)
        posted = service.accepted()[(prompts - 1) * items :]
        assert len(service.posts()) == prompts * items
        assert sorted(run.outputs[late]["late"]) == sorted(posted)
        assert any("reused" in text for text in run.texts_of(made.submit))


@pytest.mark.parametrize("display_id", ["", "3"])
@pytest.mark.parametrize(("step", "paid"), [(0, 1), (1, 3)])
def test_loop_pays_for_an_iteration_only_if_it_changes_the_request(
    uncached: ComfyUI, service: Service, step: int, paid: int, display_id: str
) -> None:
    graph = Graph()
    url = image_of(graph, uncached)
    seed = 70 + 10 * step
    loop = graph.add(
        "TestSubmitLoop", image_url=(url, 0), seed=seed, step=step, count=3, display_id=display_id, before=""
    )
    graph.add("TestKeep", value=(loop, 0))

    for prompts in (1, 2):
        assert uncached.run(graph).error is None
        assert len(service.posts()) == len(service.accepted()) == prompts * paid


def test_batch_with_one_image_that_the_storage_refuses_pays_nothing(comfy: ComfyUI, service: Service) -> None:
    service.faults({"at": "upload", "kind": "server_error", "skip": 1, "count": None})
    graph = Graph()
    names = [comfy.upload(f"some{seed}.png", png(photo(320, 320, seed=seed))) for seed in (65, 66)]
    images = [graph.add("LoadImage", image=name) for name in names]
    batch = graph.add("ImageBatch", image1=(images[0], 0), image2=(images[1], 0))
    upload = upload_image(graph, (batch, 0))
    made = pair(graph, image_url=(upload, 0), seed=65, **SMALL)

    run = comfy.run(graph)
    assert run.error
    assert run.error.node == upload
    assert service.posts() == []

    service.faults()
    assert len(comfy.run(graph).files(made.wait)) == 2
    assert len(service.posts()) == 2
