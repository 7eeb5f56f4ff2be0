"""The panel in a page of the browser, for its tests."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import httpx
from playwright.sync_api import Browser, Locator, expect

from tests.browser.conftest import Frontend
from tests.comfyui import example
from tests.comfyui.graphs import SMALL, pair, upload_image
from tests.host.comfy import ComfyUI, Graph, Run
from tests.media_files import photo, png

OPEN = """async ([workflow, prompt, seed]) => {
    await app.loadGraphData(workflow, true, true, "example");
    const node = app.graph.nodes.find(one => one.type === "Wan27ImageToVideo");
    for (const [name, value] of Object.entries({ prompt, seed })) {
        const widget = node.widgets.find(one => one.name === name);
        widget.value = value;
        widget.callback?.(value);
    }
}"""
ADD_SUBMIT = """() => {
    app.graph.clear();
    const node = LiteGraph.createNode("Wan27ImageToVideo");
    node.pos = [300, 100];
    app.graph.add(node);
    app.canvas.ds.scale = 1;
    app.canvas.centerOnNode(node);
}"""


USUAL = {"Comfy.VueNodes.Enabled": False, "Comfy.Locale": "en", "Comfy.ColorPalette": "dark"}
"""Settings that some tests change and others rely on."""


class Panel:
    def __init__(self, frontend: Frontend) -> None:
        self.frontend = frontend
        self.page = frontend.page
        self.comfy = frontend.comfy
        self.tab = self.page.locator(".wan27-tab")
        self.rows = self.page.locator(".wan27-row")
        self.info = self.page.locator(".wan27-node")
        # Frontends build their toasts differently.
        self.toasts = self.page.locator(".p-toast-message, [data-testid=toast]")

    def load(self, **settings: Any) -> None:
        """Load the frontend with these settings, and the usual ones for the rest."""
        self.comfy.request("POST", "/settings", json={**USUAL, **settings}).raise_for_status()
        self.frontend.open()

    @property
    def opener(self) -> Locator:
        return self.page.locator("button", has=self.page.locator(".pi-video")).first

    def open(self) -> None:
        self.opener.click()
        expect(self.tab).to_be_visible()

    def close(self) -> None:
        self.opener.click()
        expect(self.tab).to_have_count(0)

    def run(self) -> None:
        """Press the frontend's own Run button."""
        self.page.locator("[data-testid=queue-button], button[aria-label=Run]").first.click()

    def row(self, text: str) -> Locator:
        return self.rows.filter(has_text=text)

    def open_menu(self, text: str) -> Locator:
        """Open the menu of a row; return the menu."""
        self.row(text).locator("[aria-haspopup=menu]").click()
        menu = self.page.get_by_role("menu")
        expect(menu).to_be_visible()
        return menu

    def action(self, text: str, name: str) -> Locator:
        """Open the menu of a row; return one of its actions."""
        return self.open_menu(text).locator(f"[data-action={name}]")

    def state(self, text: str, state: str) -> None:
        expect(self.row(text).locator(".wan27-state")).to_have_attribute("data-state", state, timeout=90_000)

    def load_example(self, prompt: str, seed: int, **settings: Any) -> None:
        example.upload_inputs(self.comfy)  # before: the node definitions list the input files
        self.load(**settings)
        self.page.evaluate(OPEN, [json.loads(example.WORKFLOW.read_text()), prompt, seed])

    def add_submit(self) -> None:
        self.page.evaluate(ADD_SUBMIT)
        expect(self.info).to_be_visible()

    def queue(self, prompt: str, seed: int) -> Run:
        """Queue a small task, but not from this page."""
        graph = Graph()
        image = upload_image(graph, self.comfy.upload("panel.png", png(photo(320, 320, seed=2))))
        pair(graph, prompt=prompt, image_url=(image, 0), seed=seed, **SMALL)
        return self.comfy.queue(graph)

    def accessibility_findings(self, part: str = ".wan27-tab") -> list[str]:
        """Return the accessibility problems of any impact that axe-core finds in a part of the page."""
        self.page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text())
        found = self.page.evaluate("async part => (await axe.run(part)).violations", part)
        return [
            f"{one['impact']} {one['id']}: {one['help']} {[node['html'][:200] for node in one['nodes']][:3]}"
            for one in found
        ]

    def own_complaints(self) -> list[str]:
        """Return the complaints without those that the frontend itself causes on a page loaded while a task runs.

        1.32.9 warns about messages that arrive before any pack is loaded, and its handler of progress texts throws if
        one arrives before its canvas exists. This happens with any node that sends one, core nodes included.
        """
        harmless = re.compile(
            r'ResizeObserver loop|warning: Unhandled message: \{"type": "wan27\.|^getCanvas: canvas is null$'
        )
        return [text for text in self.frontend.complaints() if not harmless.search(text)]


@contextlib.contextmanager
def panel_in(browser: Browser, comfy: ComfyUI) -> Iterator[Panel]:
    """Open an empty page with the panel; at the end, assert that the console has no complaint about the pack.

    The ComfyUI, which other tests may share, gets the usual settings back.
    """
    context = browser.new_context(viewport={"width": 1600, "height": 1000}, locale="en-US")
    context.set_default_timeout(60_000)
    panel = Panel(Frontend(context.new_page(), comfy))
    try:
        yield panel
        complaints = "\n".join(panel.own_complaints())
        assert complaints == "", complaints
    finally:
        context.close()
        with contextlib.suppress(httpx.TransportError):  # of a ComfyUI that is gone, which is what failed
            comfy.request("POST", "/settings", json=USUAL).raise_for_status()
