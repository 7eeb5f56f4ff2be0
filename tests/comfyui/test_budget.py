"""The budget holds: when the prompt is queued if the costs are certain then, else before the first POST of a batch."""

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
    """A ComfyUI whose budget is in config.toml."""
    return start_comfy(env={**connected(service), **FROM_FILE})


def allow(comfy: ComfyUI, *, run: float, day: float) -> None:
    folder = comfy.base / "user" / "__wan27"
    folder.mkdir(parents=True, exist_ok=True)
    changed = folder / "changed.toml"
    changed.write_text(f"[budget]\nper_run_usd = {run}\nper_day_usd = {day}\n")
    changed.replace(folder / "config.toml")


def keep(comfy: ComfyUI, *, balance: float) -> None:
    allow(comfy, run=100, day=100)
    with (comfy.base / "user" / "__wan27" / "config.toml").open("a") as config:
        config.write(f"min_balance_usd = {balance}\n")


def graph_of(comfy: ComfyUI, *, seeds: list[int], duration: int = 2) -> tuple[Graph, list[str]]:
    graph = Graph()
    image = upload_image(graph, comfy.upload("budget.png", png(photo(320, 320, seed=40))))
    made = [pair(graph, image_url=(image, 0), seed=seed, resolution="720P", duration=duration) for seed in seeds]
    return graph, [each.submit for each in made]


def test_budget_holds_from_queueing_to_the_last_cent(thrifty: ComfyUI, service: Service) -> None:
    """Spend a budget in one ComfyUI; each step builds on what was spent before."""
    # Three videos of 2 s at $0.10 cost $0.60, which is certain when queued: nothing is even uploaded.
    allow(thrifty, run=0.50, day=10)
    graph, _ = graph_of(thrifty, seeds=[1, 2, 3])
    with pytest.raises(RejectedError) as refusal:
        thrifty.queue(graph)
    assert all(word in str(refusal.value) for word in ("$0.60", "$0.50", "per_run_usd", "config.toml"))

    # The size of a batch shows only when it runs: it is refused before the first request is sent.
    batch = Graph()
    images = [batch.add("LoadImage", image=thrifty.upload(f"b{n}.png", png(photo(320, 320, seed=n)))) for n in (1, 2)]
    together = batch.add("ImageBatch", image1=(images[0], 0), image2=(images[1], 0))
    urls = batch.add("Wan27UploadImage", image=(together, 0), on_limit="fit", format="auto")
    node = pair(batch, image_url=(urls, 0), resolution="720P", duration=3).submit
    run = thrifty.run(batch)
    assert run.error
    assert run.error.node == node
    assert "$0.60" in run.error.message
    assert service.posts() == []

    # A raised limit applies at once, without a restart.
    allow(thrifty, run=0.60, day=0.60)
    assert thrifty.run(graph).error is None
    assert len(service.posts()) == 3

    # Now the day's budget is used up. A new request is refused when queued …
    more, _ = graph_of(thrifty, seeds=[4])
    with pytest.raises(RejectedError) as refusal:
        thrifty.queue(more)
    assert all(word in str(refusal.value) for word in ("$0.60", "per_day_usd"))

    # … and videos that were already submitted are still collected, even by a ComfyUI that has forgotten its outputs.
    thrifty.restart()
    assert thrifty.run(graph).error is None
    assert len(service.posts()) == 3

    # Nodes that do not run are not counted (two without an output node), nor is a second one that shares a task.
    allow(thrifty, run=0.50, day=0.80)
    graph, _ = graph_of(thrifty, seeds=[5, 5])
    for seed in (6, 7):
        submit(graph, image_url=("2", 0), seed=seed, resolution="720P", duration=2)
    assert thrifty.run(graph).error is None
    assert len(service.posts()) == 4


def test_min_balance_refuses_before_the_first_upload(thrifty: ComfyUI, service: Service) -> None:
    """Each step builds on the first, which leaves $9.80 in the account."""
    service.credit_usd, service.usd_per_task = 10.0, 0.2
    keep(thrifty, balance=9.8)
    graph, _ = graph_of(thrifty, seeds=[1])
    run = thrifty.run(graph)
    assert run.error is None
    uploads = service.count["upload"]

    # What is certain is refused when it is queued …
    more, _ = graph_of(thrifty, seeds=[2])
    with pytest.raises(RejectedError) as refusal:
        thrifty.queue(more)
    assert all(word in str(refusal.value) for word in ("balance is too low", "$9.80", "$0.20", "min_balance_usd"))

    # … and a new image, if only the run shows what its video costs, before it is uploaded.
    keep(thrifty, balance=9.9)
    linked = Graph()
    length = linked.add("PrimitiveInt", value=2)
    image = upload_image(linked, thrifty.upload("new.png", png(photo(320, 320, seed=41))))
    pair(linked, image_url=(image, 0), seed=3, resolution="720P", duration=(length, 0))
    run = thrifty.run(linked)
    assert run.error
    assert run.error.node == image
    assert "balance is too low" in run.error.message
    assert service.count["upload"] == uploads
    assert len(service.posts()) == 1

    # A video that was paid for is collected with any balance, also if the service cannot be asked for it.
    service.faults({"at": "balance", "kind": "unavailable", "count": None})
    thrifty.restart()
    assert thrifty.run(graph).error is None
    with pytest.raises(RejectedError, match=r"cannot be read.*min_balance_usd to 0"):
        thrifty.queue(more)
    assert len(service.posts()) == 1
