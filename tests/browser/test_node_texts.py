"""Nothing is cut off on a node of the default size: both frontends, both renderers, both languages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import RENDERERS, StartFrontend
from tests.browser.panel import Panel, panel_in
from tests.browser.test_screenshots import FIT, FULL_DETAIL
from tests.examples.build import WORKFLOWS
from tests.host.comfy import REPO, ComfyUI
from tests.host.fixtures import QUICK
from tests.media_files import photo, png

NODES = tuple(json.loads((REPO / "locales" / "en" / "nodeDefs.json").read_text(encoding="utf-8")))
PLACE = """async type => {
    app.graph.clear();
    const node = LiteGraph.createNode(type);
    node.pos = [300, 100];
    app.graph.add(node);
    app.canvas.ds.scale = 1;
    app.canvas.centerOnNode(node);
    for (let drawn = 0; drawn < 5; drawn += 1) await new Promise(requestAnimationFrame);
}"""
NOT_DRAWN = """() => {
    const [node] = app.graph.nodes;
    const drawn = new Set();
    const { fillText } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
        drawn.add(String(text));
        return fillText.call(this, text, ...rest);
    };
    app.canvas.draw(true, true);
    CanvasRenderingContext2D.prototype.fillText = fillText;
    const slots = [...(node.inputs ?? []).filter(slot => !slot.widget), ...(node.outputs ?? [])];
    const widgets = (node.widgets ?? []).filter(widget => !widget.element && !widget.component);
    const texts = [
        node.title,
        ...slots.map(slot => slot.label || slot.localized_name || slot.name),
        ...widgets.flatMap(widget => [widget.label || widget.name, widget._displayValue]),
    ];
    return texts.filter(text => text && !drawn.has(text));
}"""
"""Returns the texts that the classic canvas does not draw in full: a cut one is drawn with an ellipsis."""
CUT = """() => {
    const isCut = (element, kinds) => {
        const { overflowX, overflowY } = getComputedStyle(element);
        const wide = kinds.includes(overflowX) && element.scrollWidth > element.clientWidth + 1;
        const high = kinds.includes(overflowY) && element.scrollHeight > element.clientHeight + 1;
        return wide || high;
    };
    const found = [];
    for (const element of document.querySelectorAll("[data-node-id] *, .dom-widget *")) {
        const own = [...element.childNodes].filter(child => child.nodeType === 3).map(child => child.textContent);
        const text = element.matches("input, textarea") ? element.value : own.join("").trim();
        if (!text || !element.clientWidth && !element.offsetWidth) continue;
        if (isCut(element, ["hidden", "clip"])) found.push(text);
        for (let box = element, up = 0; box && up < 4; box = box.parentElement, up += 1)
            if (isCut(box, ["auto", "scroll"])) found.push(text);
    }
    return found;
}"""
"""Returns the texts in elements of nodes that have to be scrolled, or that end in an ellipsis."""
LONGER_THAN_80_PIXELS = ("driving_audio_url", "timeout_minutes", "crossfade_seconds")
"""Nodes 2.0 of 1.32.9 give the name of an input 80 pixels on every node, however wide that is."""
DEFAULT_SIZE = """() => {
    const ours = app.graph.nodes.filter(node => node.type.startsWith("Wan27"));
    for (const node of ours) node.setSize(LiteGraph.createNode(node.type).size);
    app.canvas.setDirty(true, true);
}"""
WATCH = f"""() => {{
    const frames = async count => {{
        for (let drawn = 0; drawn < count; drawn += 1) await new Promise(requestAnimationFrame);
    }};
    window.said = [];
    app.api.addEventListener("progress_text", async ({{ detail }}) => {{
        let cut = [];
        for (let looked = 0; looked < 40; looked += 1) {{
            await frames(2);
            cut = ({CUT})();
            if (!cut.length) break;
        }}
        window.said.push([detail.text, cut]);
    }});
}}"""
"""Notes what is cut off after each text of a node. The newest frontend removes the texts when a run ends, and a node
grows one frame after its text has changed."""


@pytest.fixture
def comfy(start_frontend: StartFrontend) -> Iterator[ComfyUI]:
    comfy = start_frontend(QUICK)
    for number in range(len(RENDERERS)):  # so small that Upload Image has to say what it changed
        comfy.upload(f"small{number}.png", png(photo(200, 160, seed=number)))
    yield comfy


@pytest.fixture
def panel(browser: Browser, comfy: ComfyUI) -> Iterator[Panel]:
    with panel_in(browser, comfy) as made:
        yield made


def test_node_texts_are_not_cut_off_at_the_default_size(panel: Panel, which: str) -> None:
    cut: list[tuple[str, str, str, Any]] = []
    for number, renderer in enumerate(RENDERERS):
        for locale in ("en", "zh"):
            panel.load(**{"Comfy.VueNodes.Enabled": renderer == "vue", "Comfy.Locale": locale, **FULL_DETAIL})
            for name in NODES:
                panel.page.evaluate(PLACE, name)
                texts = panel.page.evaluate(CUT) + (panel.page.evaluate(NOT_DRAWN) if renderer == "canvas" else [])
                cut += [(renderer, locale, name, text) for text in texts]
        cut += [(renderer, "", "while it runs", text) for text in _cut_in_a_run(panel, number)]
    if which == "required":
        cut = [each for each in cut if each[0] != "vue" or each[3] not in LONGER_THAN_80_PIXELS]
    assert cut == []


def _cut_in_a_run(panel: Panel, number: int) -> list[str]:
    """Run the example with its nodes at their default size, and return the texts that are cut off."""
    page = panel.page
    workflow = json.loads((WORKFLOWS / "first_and_last_frame.json").read_text(encoding="utf-8"))
    workflow["nodes"] = [node for node in workflow["nodes"] if node["type"] != "MarkdownNote"]
    for node in workflow["nodes"]:
        if node["type"] == "LoadImage":
            node["widgets_values"][0] = f"small{number}.png"  # nothing comes from a cache, or it would say nothing
    page.evaluate("async workflow => { await app.loadGraphData(workflow, true, true, 'texts'); }", workflow)
    page.evaluate(DEFAULT_SIZE)
    page.evaluate(FIT)  # what is not in view has no elements
    page.evaluate(WATCH)
    panel.run()
    page.wait_for_function("() => said.some(([text]) => text.startsWith('saved'))", timeout=120_000)
    said: list[tuple[str, list[str]]] = page.evaluate("said")
    for word in ("SANDBOX", "px", "processing"):
        assert any(word in text for text, _ in said), word
    return [each for _, cut in said for each in cut]
