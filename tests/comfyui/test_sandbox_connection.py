"""Without a key, the example runs unchanged, offline and for free, and says that it ran in the sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.comfyui import example
from tests.comfyui.graphs import SMALL, pair, upload_image
from tests.demo import report
from tests.host.comfy import ComfyUI, Graph
from tests.host.fixtures import HELPERS
from tests.media_files import photo, png

NO_BUDGET = {"WAN27_BUDGET_PER_RUN_USD": "0", "WAN27_BUDGET_PER_DAY_USD": "0"}


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyUI]:
    """A ComfyUI without a key, which has to exit cleanly at the end."""
    comfy = ComfyUI(tmp_path_factory.mktemp("offline"), env=NO_BUDGET, custom_nodes=[HELPERS]).start()
    yield comfy
    assert comfy.stop() == 0, "ComfyUI did not exit cleanly"


def test_sandbox_runs_the_example_without_a_key(offline: ComfyUI) -> None:
    example.upload_inputs(offline)

    run = offline.run(example.prompt())

    assert report(run) == []
    for node in (example.node_of("Wan27ImageToVideo"), example.node_of("Wan27WaitForVideo")):
        assert any("SANDBOX · free" in text for text in run.texts_of(node)), run.texts_of(node)
    assert "sandbox" in offline.log.lower()


def test_sandbox_needs_no_budget(offline: ComfyUI) -> None:
    graph = Graph()
    image = upload_image(graph, offline.upload("budget.png", png(photo(320, 320, seed=40))))
    pair(graph, image_url=(image, 0), seed=1, **SMALL)

    assert offline.run(graph).error is None
