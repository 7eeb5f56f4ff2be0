"""The help page of a node, and node and help page in Chinese."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import SETTINGS, Frontend
from tests.host.comfy import ComfyUI

NODE = "Wan27ImageToVideo"
PLACED = """type => {
    app.graph.clear();
    const node = LiteGraph.createNode(type);
    node.pos = [500, 250];
    app.graph.add(node);
    app.canvas.selectNode(node);
    return [
        node.title,
        Object.fromEntries(node.widgets.map(widget => [widget.name, widget.label])),
        Object.fromEntries(node.outputs.map(output => [output.name, output.localized_name || output.label])),
    ];
}"""
"""Puts the node alone on the canvas, selects it, and returns its title and the names of inputs and outputs on it."""


@pytest.fixture
def chinese_locale(frontend_comfy: ComfyUI) -> Iterator[None]:
    """Set the language before the frontend loads."""
    frontend_comfy.request("POST", "/settings", json={"Comfy.Locale": "zh"}).raise_for_status()
    yield
    frontend_comfy.request("POST", "/settings", json=SETTINGS | {"Comfy.Locale": "en"}).raise_for_status()


@pytest.fixture
def chinese(chinese_locale: None, frontend: Frontend) -> Frontend:
    return frontend


def help_on_the_node(frontend: Frontend) -> Locator:
    """Open the help page of the selected node the way a user does."""
    frontend.page.get_by_test_id("info-button").first.click()
    return frontend.page.locator(".node-help-content").first


def test_help_page_is_shown(frontend: Frontend) -> None:
    title, *_ = frontend.page.evaluate(PLACED, NODE)
    assert title == "Wan 2.7 Image to Video"

    help_page = help_on_the_node(frontend)

    expect(help_page).to_contain_text("This is the only node that costs money")
    expect(help_page).to_contain_text("at most 5000 characters")


def test_node_and_help_page_are_chinese(chinese: Frontend, request: pytest.FixtureRequest) -> None:
    title, widgets, outputs = chinese.page.evaluate(PLACED, NODE)

    expect(help_on_the_node(chinese)).to_contain_text("花钱的只有这个节点")
    assert "\n".join(chinese.complaints()) == ""
    # 1.32.9 fetches the packs' translations first, and overwrites them with its own when it loads a language.
    if request.node.callspec.params["frontend_comfy"] == "newest":
        assert title == "Wan 2.7 图生视频"
        assert widgets["duration"] == "时长 duration"
        assert outputs["estimated_cost"] == "预估费用 estimated_cost"
