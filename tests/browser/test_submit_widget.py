"""The widget at the bottom of Image to Video, in both frontends and both renderers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from nodes.core import limits
from tests.browser.panel import Panel, panel_in
from tests.host.comfy import ComfyUI

SET = """([name, value]) => {
    const widget = app.graph.nodes[0].widgets.find(one => one.name === name);
    widget.value = value;
    widget.callback?.(value);
}"""
ARROW = """name => {
    const node = app.graph.nodes[0];
    const widget = node.widgets.find(one => one.name === name);
    const { ds, canvas } = app.canvas;
    const box = canvas.getBoundingClientRect();
    const at = [node.pos[0] + node.size[0] - 24, node.pos[1] + (widget.last_y ?? widget.y) + 10];
    return { x: (at[0] + ds.offset[0]) * ds.scale + box.x, y: (at[1] + ds.offset[1]) * ds.scale + box.y };
}"""
"""Returns the position of the arrow that increases a number, on the canvas of the classic renderer."""


@pytest.fixture
def panel(browser: Browser, frontend_comfy: ComfyUI) -> Iterator[Panel]:
    with panel_in(browser, frontend_comfy) as made:
        yield made


def _set(panel: Panel, name: str, value: Any) -> None:
    panel.page.evaluate(SET, [name, value])


def test_widget_cost_follows_the_duration_on_the_classic_canvas(panel: Panel) -> None:
    panel.load()
    panel.add_submit()
    expect(panel.info).to_contain_text("$0.75")

    panel.page.wait_for_function(f"() => Number.isFinite(({ARROW})('duration').y)")
    arrow = panel.page.evaluate(ARROW, "duration")
    panel.page.mouse.click(arrow["x"], arrow["y"])

    expect(panel.info).to_contain_text("≈ $0.90 · novita")
    expect(panel.info.locator(".wan27-cost")).to_have_attribute("title", "For each video: 6 s × $0.15")


def test_widget_cost_follows_the_duration_in_nodes_2(panel: Panel) -> None:
    panel.load(**{"Comfy.VueNodes.Enabled": True})
    panel.add_submit()
    expect(panel.info).to_contain_text("$0.75")

    more = ".p-inputnumber:has(input[aria-label=duration]) .p-inputnumber-increment-button"  # the older frontend's
    panel.page.locator(f"{more}, div[aria-label=duration] button").last.click()

    expect(panel.info).to_contain_text("≈ $0.90 · novita")
    expect(panel.info.locator(".wan27-cost")).to_have_attribute("title", "For each video: 6 s × $0.15")


def test_widget_cost_with_a_clip_is_a_range(panel: Panel) -> None:
    panel.load()
    panel.add_submit()
    _set(panel, "first_clip_url", "https://a.example/clip.mp4")
    expect(panel.info).to_contain_text("≈ $0.75 to $1.50 · novita · with the clip")
    expect(panel.info.locator(".wan27-cost")).to_have_attribute("title", re.compile("may be billed on top"))


def test_widget_has_room_for_its_longest_texts(panel: Panel) -> None:
    for locale in ("en", "zh"):
        panel.load(**{"Comfy.Locale": locale})
        panel.add_submit()
        _set(panel, "image_url", "https://a.example/first.png")
        _set(panel, "first_clip_url", "https://a.example/clip.mp4")
        _set(panel, "on_repeat", "submit_again")
        _set(panel, "prompt", "x" * (limits.PROMPT_CHARS - 1))
        _set(panel, "negative_prompt", "x" * (limits.NEGATIVE_PROMPT_CHARS + 1))
        expect(panel.info.locator("[data-level=over]")).to_have_count(2)
        assert panel.info.evaluate("box => box.scrollHeight - box.clientHeight") <= 0, locale


def test_widget_counts_lengths_and_warns(panel: Panel) -> None:
    panel.load()
    panel.add_submit()

    _set(panel, "prompt", f"  {'猫' * 10}  ")
    _set(panel, "negative_prompt", "x" * (limits.NEGATIVE_PROMPT_CHARS - 10))
    expect(panel.info).to_contain_text(f"prompt 10 / {limits.PROMPT_CHARS}")
    expect(panel.info.locator("[data-level=near]")).to_have_text(
        f"negative_prompt 490 / {limits.NEGATIVE_PROMPT_CHARS} (10 left)"
    )

    _set(panel, "prompt", "x" * (limits.PROMPT_CHARS + 3))
    expect(panel.info.locator(".wan27-counters [data-level=over]")).to_contain_text("(3 too many)")


def test_widget_judges_links_and_values_like_the_node(panel: Panel) -> None:
    panel.load()
    panel.add_submit()
    shape = panel.info.locator(".wan27-shape")
    expect(shape).to_have_attribute("data-level", "over")
    panel.page.evaluate(
        """() => {
            const upload = LiteGraph.createNode("Wan27UploadImage");
            app.graph.add(upload);
            const node = app.graph.nodes[0];
            upload.connect(0, node, node.inputs.findIndex(input => input.name === "image_url"));
        }"""
    )
    expect(shape).to_have_text("✓ First frame")
    _set(panel, "first_clip_url", "https://a.example/clip.mp4")
    expect(shape).to_contain_text("exclude each other")
    _set(panel, "first_clip_url", "")
    _set(panel, "last_frame_url", "https://a.example/last.png")
    expect(shape).to_have_text("✓ First + last frame")
    panel.page.evaluate("() => app.graph.nodes.at(-1).disconnectOutput(0)")
    expect(shape).to_contain_text("last_frame_url alone is not enough")


def test_widget_is_neither_saved_nor_queued(panel: Panel) -> None:
    panel.load()
    panel.add_submit()

    saved, queued = panel.page.evaluate(
        "async () => { const { workflow, output } = await app.graphToPrompt(); return [workflow, output]; }"
    )

    (node,) = saved["nodes"]
    assert len(node["widgets_values"]) == 12
    ((_, entry),) = queued.items()
    assert "wan27_info" not in entry["inputs"]
    height, least = panel.page.evaluate("() => [app.graph.nodes[0].size[1], app.graph.nodes[0].computeSize()[1]]")
    assert height >= least, "the widget is on the node, not below it"


def test_widget_and_tab_are_chinese(panel: Panel) -> None:
    panel.load(**{"Comfy.Locale": "zh"})

    panel.add_submit()
    expect(panel.info).to_contain_text("≈ $0.75 · novita")
    panel.open()
    expect(panel.tab.get_by_role("heading", name="任务")).to_be_visible()
