"""The pictures in the README, taken anew: out/screenshots/readme-*.png. Copy them to docs/ when they have changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page

from tests.browser.conftest import Frontend
from tests.browser.test_example_workflow import OPEN
from tests.examples.build import WORKFLOWS
from tests.examples.inputs import put_inputs
from tests.host.comfy import REPO, ComfyUI

LARGEST = 150_000
FULL_DETAIL = {"LiteGraph.Canvas.MinFontSizeForLOD": 0, "Comfy.Minimap.Visible": False}
RUN = "async () => { await app.queuePrompt(0, 1); }"
DONE = """() => app.graph.nodes.filter(node => node.type === "PreviewImage").every(node => node.imgs?.length)"""
#: Everything of the graph in view, with room for the bars of the frontend.
FIT = """() => {
    const boxes = app.graph.nodes.map(node => [node.pos[0], node.pos[1] - 40, node.size[0], node.size[1] + 40]);
    const left = Math.min(...boxes.map(b => b[0])), top = Math.min(...boxes.map(b => b[1]));
    const right = Math.max(...boxes.map(b => b[0] + b[2])), bottom = Math.max(...boxes.map(b => b[1] + b[3]));
    const scale = Math.min((innerWidth - 140) / (right - left), (innerHeight - 160) / (bottom - top));
    app.canvas.ds.scale = scale;
    app.canvas.ds.offset = [110 / scale - left, 130 / scale - top];
    app.canvas.setDirty(true, true);
}"""


@pytest.fixture
def inputs(frontend_comfy: ComfyUI) -> None:
    put_inputs(frontend_comfy)
    frontend_comfy.request("POST", "/settings", json=FULL_DETAIL).raise_for_status()


def small(path: Path, width: int) -> Path:
    """The screenshot at `width`, in few colours, beside it."""
    with Image.open(path) as image:
        scaled = image.convert("RGB").resize(
            (width, round(image.height * width / image.width)), Image.Resampling.LANCZOS
        )
    target = path.with_name(f"readme-{path.name}")
    scaled.quantize(128, dither=Image.Dither.NONE).save(target, optimize=True)
    return target


def settle(page: Page) -> None:
    """Two frames drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_the_graph_and_the_panel(inputs: None, frontend: Frontend, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["frontend_comfy"] != "newest":
        pytest.skip("one frontend is enough for a picture")
    frontend.page.set_viewport_size({"width": 2000, "height": 1125})
    workflow = json.loads((WORKFLOWS / "first_and_last_frame.json").read_text())
    for node in workflow["nodes"]:
        if node["type"] == "LoadImage" and node["id"] == 2:
            node["widgets_values"][0] = "wan27_second.png"
    frontend.page.evaluate(OPEN, workflow)
    frontend.page.evaluate(RUN)
    frontend.page.wait_for_function(DONE)
    frontend.page.evaluate(FIT)
    settle(frontend.page)
    graph = small(frontend.shot("graph"), 1400)

    frontend.page.get_by_role("button", name="Wan 2.7").first.click()
    frontend.page.wait_for_selector("text=Spent today")
    settle(frontend.page)
    panel = small(frontend.shot("panel"), 1400)

    assert [path.name for path in (graph, panel) if path.stat().st_size > LARGEST] == []


def test_the_readme_shows_them() -> None:
    text = (REPO / "README.md").read_text()
    for name in ("graph", "panel"):
        assert f"(docs/{name}.png)" in text
        assert (REPO / "docs" / f"{name}.png").stat().st_size < LARGEST
