"""The budget holds: when the prompt is queued where that is certain, before the first POST of a batch otherwise."""

from __future__ import annotations

import pytest

from tests.comfyui.graphs import pair, submit, upload_image
from tests.host.comfy import ComfyUI, Graph, RejectedError
from tests.host.fixtures import ComfyFactory, connected
from tests.media_files import photo, png
from tests.service import Service

FROM_FILE = {"WAN27_BUDGET_PER_RUN_USD": "", "WAN27_BUDGET_PER_DAY_USD": ""}


@pytest.fixture
def thrifty(start_comfy: ComfyFactory, service: Service) -> ComfyUI:
    """A ComfyUI whose budget stands in config.toml."""
    return start_comfy(env={**connected(service), **FROM_FILE})


def allow(comfy: ComfyUI, *, run: float, day: float) -> None:
    folder = comfy.base / "user" / "__wan27"
    folder.mkdir(parents=True, exist_ok=True)
    changed = folder / "changed.toml"
    changed.write_text(f"[budget]\nper_run_usd = {run}\nper_day_usd = {day}\n")
    changed.replace(folder / "config.toml")


def graph_of(comfy: ComfyUI, *, seeds: list[int], duration: int = 2) -> tuple[Graph, list[str]]:
    graph = Graph()
    image = upload_image(graph, comfy.upload("budget.png", png(photo(320, 320, seed=40))))
    made = [pair(graph, image_url=(image, 0), seed=seed, resolution="720P", duration=duration) for seed in seeds]
    return graph, [each.submit for each in made]


def test_budget_holds_from_queueing_to_the_last_cent(thrifty: ComfyUI, service: Service) -> None:
    """One ComfyUI for the whole story: each step builds on what was spent before."""
    # Three videos of 2 s at $0.10 are $0.60: certain when queued, so nothing is even uploaded.
    allow(thrifty, run=0.50, day=10)
    graph, _ = graph_of(thrifty, seeds=[1, 2, 3])
    with pytest.raises(RejectedError) as refusal:
        thrifty.queue(graph)
    assert all(word in str(refusal.value) for word in ("$0.60", "$0.50", "per_run_usd", "config.toml"))

    # The same through a link is certain only when it runs: refused whole, before the first of the batch is sent.
    batch = Graph()
    pictures = [batch.add("LoadImage", image=thrifty.upload(f"b{n}.png", png(photo(320, 320, seed=n)))) for n in (1, 2)]
    together = batch.add("ImageBatch", image1=(pictures[0], 0), image2=(pictures[1], 0))
    urls = batch.add("Wan27UploadImage", image=(together, 0), on_limit="fit", format="auto")
    node = pair(batch, image_url=(urls, 0), resolution="720P", duration=3).submit
    run = thrifty.run(batch)
    assert run.error
    assert run.error.node == node
    assert "$0.60" in run.error.message
    assert service.posts() == []

    # A raised limit counts at once, without a restart.
    allow(thrifty, run=0.60, day=0.60)
    assert thrifty.run(graph).error is None
    assert len(service.posts()) == 3

    # The day is used up now: something new is refused when queued ...
    more, _ = graph_of(thrifty, seeds=[4])
    with pytest.raises(RejectedError) as refusal:
        thrifty.queue(more)
    assert all(word in str(refusal.value) for word in ("$0.60", "per_day_usd"))

    # ... and what is paid for is collected all the same, even by a ComfyUI that has forgotten its outputs.
    thrifty.restart()
    assert thrifty.run(graph).error is None
    assert len(service.posts()) == 3

    # What does not run is not counted: two that nobody waits for, and a twin that shares its task.
    allow(thrifty, run=0.50, day=0.80)
    graph, _ = graph_of(thrifty, seeds=[5, 5])
    for seed in (6, 7):
        submit(graph, image_url=("2", 0), seed=seed, resolution="720P", duration=2)
    assert thrifty.run(graph).error is None
    assert len(service.posts()) == 4
