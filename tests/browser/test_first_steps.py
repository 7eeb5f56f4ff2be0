"""From a node on an empty canvas to the example, and from the sandbox to host and key, in both frontends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.conftest import RENDERERS, StartFrontend
from tests.browser.panel import Panel, panel_in
from tests.host.comfy import ComfyUI
from tests.host.fixtures import QUICK
from tests.media_files import photo, png

ADD = """type => {
    const node = LiteGraph.createNode(type);
    node.pos = [300, 200];
    app.graph.add(node);
}"""
LOADED = "() => app.graph.nodes.some(node => node.type === 'Wan27ImageToVideo')"
HIDDEN_NODES = """() => {
    const { ds, canvas } = app.canvas;
    const box = canvas.getBoundingClientRect();
    const tab = document.querySelector(".wan27-tab")?.getBoundingClientRect();
    return app.graph.nodes.filter(node => {
        const left = (node.pos[0] + ds.offset[0]) * ds.scale + box.x;
        const top = (node.pos[1] - 30 + ds.offset[1]) * ds.scale + box.y;
        const right = left + node.size[0] * ds.scale, bottom = top + (node.size[1] + 30) * ds.scale;
        const covered = tab && left < tab.right && right > tab.left;
        return covered || left < 0 || top < 0 || right > innerWidth || bottom > innerHeight;
    }).map(node => node.title);
}"""
"""Returns the titles of nodes that the tab covers, or that are outside the window."""
IMAGES = "() => app.graph.nodes.filter(node => node.type === 'LoadImage').map(node => node.widgets[0].value)"


@pytest.fixture
def newcomer(start_frontend: StartFrontend) -> Iterator[ComfyUI]:
    """A new installation: no key, no task, and one image in the input folder."""
    comfy = start_frontend(QUICK)
    comfy.upload("mine.png", png(photo(512, 512, seed=1)))
    yield comfy


@pytest.fixture
def panel(browser: Browser, newcomer: ComfyUI) -> Iterator[Panel]:
    with panel_in(browser, newcomer) as made:
        yield made


def _steps(panel: Panel) -> Locator:
    return panel.page.locator(".wan27-steps")


def test_first_steps_lead_from_a_node_to_the_example_and_from_its_video_to_host_and_key(
    panel: Panel, which: str
) -> None:
    page, steps = panel.page, _steps(panel)
    panel.load()
    page.evaluate("() => app.graph.clear()")
    expect(steps).to_be_hidden()
    page.evaluate(ADD, "Wan27UploadAudio")
    expect(steps).to_be_visible()
    assert panel.accessibility_findings(".wan27-steps") == []
    panel.frontend.shot(f"steps-example-{which}")

    steps.get_by_role("button", name="Open an example").click()

    page.wait_for_function(LOADED)
    expect(panel.toasts.filter(has_text="Press Run")).to_be_visible()
    expect(steps).to_be_hidden()
    assert page.evaluate(HIDDEN_NODES) == []
    assert page.evaluate(IMAGES) == ["mine.png", "mine.png"]

    panel.run()

    expect(steps).to_contain_text("That was the sandbox.", timeout=120_000)
    assert panel.accessibility_findings(".wan27-steps") == []
    panel.frontend.shot(f"steps-host-{which}")
    steps.get_by_role("button", name="Choose a host and enter its key").click()
    expect(page.get_by_label("Where requests go")).to_be_focused()
    expect(steps).to_be_hidden()


def test_first_steps_are_in_the_context_menu_of_the_nodes(panel: Panel, which: str) -> None:
    page = panel.page
    # The menu of Nodes 2.0 has no entries of packs on the older frontend.
    for renderer in RENDERERS if which == "newest" else ("canvas",):
        panel.load(**{"Comfy.VueNodes.Enabled": renderer == "vue"})
        page.evaluate("() => app.graph.clear()")
        page.evaluate(ADD, "Wan27UploadAudio")
        _steps(panel).get_by_role("button", name="Close").click()
        expect(_steps(panel)).to_be_hidden()
        page.evaluate("() => app.canvas.centerOnNode(app.graph.nodes[0])")
        _right_click_the_title(panel)

        page.get_by_text("Wan 2.7: host, key and settings").first.click()

        expect(page.get_by_label("Where requests go")).to_be_focused()


def _right_click_the_title(panel: Panel) -> None:
    at = panel.page.evaluate(
        """async () => {
            for (let drawn = 0; drawn < 3; drawn += 1) await new Promise(requestAnimationFrame);
            const { ds, canvas } = app.canvas;
            const [node] = app.graph.nodes;
            const box = canvas.getBoundingClientRect();
            const x = node.pos[0] + node.size[0] / 2, y = node.pos[1] - 12;
            return [(x + ds.offset[0]) * ds.scale + box.x, (y + ds.offset[1]) * ds.scale + box.y];
        }"""
    )
    panel.page.mouse.click(*at, button="right")


@pytest.mark.parametrize("width", [600, 1600])
def test_example_of_the_tab_ends_at_a_graph_in_full_view(width: int, panel: Panel) -> None:
    page = panel.page
    page.set_viewport_size({"width": width, "height": 900})
    panel.load()
    panel.open()

    panel.tab.get_by_role("button", name="Open an example").click()

    page.wait_for_function(LOADED)
    expect(panel.toasts.filter(has_text="Press Run")).to_be_visible()
    assert page.evaluate(HIDDEN_NODES) == []
