"""The screenshots in the README: out/screenshots/readme-*.png. Copy them to docs/ when they have changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from nodes.ledger import Ledger
from tests.browser.conftest import SETTINGS, SHOTS, Frontend, frontend_named
from tests.browser.test_tasks import PLAYING, STILL
from tests.examples.build import WORKFLOWS
from tests.examples.inputs import put_inputs
from tests.examples.workflows import LAST_FRAME_TITLE
from tests.host.comfy import REPO
from tests.host.fixtures import QUICK, ComfyFactory

LARGEST = 150_000
FULL_DETAIL = {"LiteGraph.Canvas.MinFontSizeForLOD": 0, "Comfy.Minimap.Visible": False}
OPEN = """async workflow => { await app.loadGraphData(workflow, true, true, "first_and_last_frame"); }"""
THUMBNAIL = """() => [...document.querySelectorAll("img")].some(
    image => image.src.includes("wan27") && image.complete && image.naturalWidth)"""
RUN = "async () => { await app.queuePrompt(0, 1); }"
DONE = """() => app.graph.nodes.filter(node => node.type === "PreviewImage").every(node => node.imgs?.length)"""
FIT = """() => {
    const boxes = app.graph.nodes.map(node => [node.pos[0], node.pos[1] - 40, node.size[0], node.size[1] + 40]);
    const left = Math.min(...boxes.map(b => b[0])), top = Math.min(...boxes.map(b => b[1]));
    const right = Math.max(...boxes.map(b => b[0] + b[2])), bottom = Math.max(...boxes.map(b => b[1] + b[3]));
    const scale = Math.min((innerWidth - 140) / (right - left), (innerHeight - 160) / (bottom - top));
    app.canvas.ds.scale = scale;
    app.canvas.ds.offset = [110 / scale - left, 130 / scale - top];
    app.canvas.setDirty(true, true);
}"""
"""Brings the whole graph into view, with room for the bars of the frontend."""
PROMPTS = {"A paper boat leaves the harbor at dawn": 7, "A paper boat leaves the harbor at dusk": 8}
REQUEST = """([prompt, seed]) => {
    const node = app.graph.nodes.find(one => one.type === "Wan27ImageToVideo");
    for (const [name, value] of Object.entries({ prompt, seed })) {
        node.widgets.find(one => one.name === name).value = value;
    }
}"""
TASKS = (0, 230, 640, 850)
PANEL = (0, 0, 640, 600)
"""The part of the window that shows the panel: left, top, right, bottom in pixels."""


@pytest.fixture
def new_user(browser: Browser, start_comfy: ComfyFactory) -> Iterator[Frontend]:
    """The newest frontend on a ComfyUI without a key: everything happens in the sandbox."""
    comfy = start_comfy(env=QUICK, frontend=frontend_named("newest"))
    comfy.request("POST", "/settings", json=SETTINGS | FULL_DETAIL).raise_for_status()
    put_inputs(comfy)
    context = browser.new_context(viewport={"width": 2000, "height": 1125}, locale="en-US")
    context.set_default_timeout(60_000)
    frontend = Frontend(context.new_page(), comfy)
    frontend.open()
    yield frontend
    context.close()


def small(path: Path, width: int) -> Path:
    """Write the screenshot at `width` and with 256 colours beside it."""
    with Image.open(path) as image:
        scaled = image.convert("RGB").resize(
            (width, round(image.height * width / image.width)), Image.Resampling.LANCZOS
        )
    target = path.with_name(f"readme-{path.name}")
    scaled.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(target, optimize=True)
    return target


def settle(page: Page) -> None:
    """Wait until two frames are drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_screenshots_of_graph_and_panel(new_user: Frontend) -> None:
    page = new_user.page
    workflow = json.loads((WORKFLOWS / "first_and_last_frame.json").read_text())
    (last,) = [node for node in workflow["nodes"] if node.get("title") == LAST_FRAME_TITLE]
    last["widgets_values"][0] = "wan27_second.png"
    page.evaluate(OPEN, workflow)
    page.evaluate(RUN)
    page.wait_for_function(DONE, timeout=120_000)
    page.evaluate(FIT)
    settle(page)
    graph = small(new_user.shot("graph"), 1400)

    page.get_by_role("button", name="Wan 2.7").first.click()
    page.wait_for_function(THUMBNAIL)
    settle(page)
    shot = new_user.shot("panel")
    with Image.open(shot) as image:
        image.crop(PANEL).save(shot)
    panel = small(shot, PANEL[2])

    assert "\n".join(new_user.complaints()) == ""
    assert [path.name for path in (graph, panel) if path.stat().st_size > LARGEST] == []


def test_screenshots_of_settings_and_check(new_user: Frontend) -> None:
    page = new_user.page
    page.get_by_role("button", name="Wan 2.7").first.click()
    page.get_by_role("button", name="Choose a host and enter its key").click()
    page.get_by_label("Where requests go").select_option("fal")
    page.get_by_label("API key", exact=True).fill("not-a-real-key-0123456789")
    settings, check = page.locator(".wan27-section").all()
    settings_shot = part(settings, "settings")
    settings.locator("> summary").click()
    check.locator("> summary").click()
    check.get_by_role("button").click()
    page.get_by_text("Nothing has to be changed.").wait_for()
    check_shot = part(check, "check")

    assert "\n".join(new_user.complaints()) == ""
    assert [path.name for path in (settings_shot, check_shot) if path.stat().st_size > LARGEST] == []


def part(element: Locator, name: str) -> Path:
    """Take a screenshot of a part of the tab, at the width of the tab."""
    settle(element.page)
    path = SHOTS / f"{name}.png"
    element.screenshot(path=path)
    with Image.open(path) as image:
        width = image.width
    return small(path, width)


def test_screenshots_of_tasks_and_comparison(new_user: Frontend) -> None:
    page = new_user.page
    page.evaluate(OPEN, json.loads((WORKFLOWS / "first_and_last_frame.json").read_text()))
    for prompt, seed in PROMPTS.items():
        page.evaluate(REQUEST, [prompt, seed])
        page.evaluate(RUN)
    page.get_by_role("button", name="Wan 2.7").first.click()
    rows = page.locator(".wan27-row")
    expect(rows.locator("img")).to_have_count(len(PROMPTS), timeout=120_000)
    _tell_of_hosts(new_user)
    page.locator("#wan27-filter").select_option("saved")
    page.locator("#wan27-filter").select_option("all")
    expect(rows).to_have_count(len(PROMPTS) + 2)
    page.locator(".wan27-guide summary").click()
    rows.nth(2).locator("[aria-haspopup=menu]").click()
    settle(page)
    shot = new_user.shot("tasks")
    with Image.open(shot) as image:
        image.crop(TASKS).save(shot)
    tasks = small(shot, TASKS[2] - TASKS[0])

    page.get_by_role("menuitem", name="Compare with another").click()
    rows.nth(3).get_by_role("button", name="Compare", exact=True).click()
    dialog = page.get_by_role("dialog", name="Compare two videos")
    page.wait_for_function(PLAYING)
    dialog.get_by_role("button", name="Pause").click()
    dialog.get_by_role("slider").fill("2")
    page.wait_for_function(STILL)
    settle(page)
    compared = SHOTS / "compare.png"
    dialog.screenshot(path=compared)
    compare = small(compared, 1000)

    assert "\n".join(new_user.complaints()) == ""
    assert [path.name for path in (tasks, compare) if path.stat().st_size > LARGEST] == []


def _tell_of_hosts(new_user: Frontend) -> None:
    """Make the sandbox's tasks look like those of two hosts, with one that runs and one that failed."""
    ledger = Ledger(new_user.comfy.base / "user" / "__wan27" / "ledger.sqlite3")
    columns = "fingerprint, task_id, state, service, connection, base_url, request, estimate, counted, owner"
    others = [("submitted", "fal", 0.5, ""), ("failed", "kie", 0.4, "The host refused the first frame.")]
    with ledger.database.writing() as db:
        db.execute("UPDATE tasks SET connection = 'fal', estimate = 0.5, counted = 1")
        for state, host, estimate, reason in others:
            db.execute(
                f"INSERT INTO tasks ({columns}, created_at, reason) "
                "SELECT '', 'other-' || ?, ?, ?, ?, '', request, ?, 1, '', created_at, ? FROM tasks WHERE id = 1",
                (host, state, host, host, estimate, reason),
            )
    ledger.close()


def test_screenshots_are_in_the_readme() -> None:
    text = (REPO / "README.md").read_text()
    for name in ("graph", "panel", "settings", "check", "tasks", "compare"):
        assert f"(docs/{name}.png)" in text
        assert (REPO / "docs" / f"{name}.png").stat().st_size < LARGEST
