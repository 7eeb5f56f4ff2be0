"""The sidebar tab, in both frontends."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.panel import Panel, panel_in
from tests.host.comfy import ComfyUI
from tests.service import Service

FAILED = {"at": "task", "kind": "fail", "reason": "DataInspectionFailed: the image was refused"}
HELD = {"at": "result", "kind": "processing", "count": None}

HAS_POSTER = "row => { const image = row.querySelector('img'); return image?.complete && image.naturalWidth > 0; }"
HAS_PROMPT = """prompt => app.graph.nodes.some(node => node.type === "Wan27ImageToVideo"
    && node.widgets?.some(widget => widget.name === "prompt" && widget.value === prompt))"""


@pytest.fixture
def panel(browser: Browser, frontend_comfy: ComfyUI, service: Service) -> Iterator[Panel]:
    with panel_in(browser, frontend_comfy) as made:
        yield made


@pytest.mark.parametrize("renderer", ["classic", "nodes 2.0"])
def test_panel_follows_a_run_from_the_button_to_the_video_opens_its_workflow_and_collects_it_again(
    renderer: str, panel: Panel, service: Service, prompt: str, which: str
) -> None:
    page = panel.page
    shot = f"{which}-{renderer.replace(' ', '')}"
    service.faults(HELD)
    panel.load_example(prompt, secrets.randbelow(2**31), **{"Comfy.VueNodes.Enabled": renderer != "classic"})
    panel.open()

    panel.run()

    panel.state(prompt, "running")
    expect(panel.row(prompt)).to_contain_text(re.compile(r"Processing.*\d+ s.*\d+ %.*(left|longer than expected)"))
    expect(page.get_by_text(re.compile(r"processing \d+ s")).first).to_be_attached()
    panel.frontend.shot(f"panel-{shot}-running")
    service.faults()
    panel.state(prompt, "saved")
    expect(page.locator("video[src*='wan27']").first).to_be_attached()
    page.wait_for_function(HAS_POSTER, arg=panel.row(prompt).element_handle())
    panel.frontend.shot(f"panel-{shot}-done")
    (post,) = service.posts()

    # ComfyUI has forgotten the run, and the workflow is closed: the pack still has it.
    panel.comfy.request("POST", "/history", json={"clear": True}).raise_for_status()
    page.evaluate("() => app.graph.clear()")
    page.locator("#wan27-search").fill(post["task_id"])
    expect(panel.rows).to_have_count(1)
    panel.action(prompt, "openWorkflow").click()
    page.wait_for_function(HAS_PROMPT, arg=prompt)

    # Nothing is left of the workflow but what the tab adds.
    page.evaluate("() => app.graph.clear()")
    panel.action(prompt, "toCanvas").click()
    nodes = page.evaluate("() => app.graph.nodes.map(node => [node.type, node.inputs?.[0]?.link ?? null])")
    assert [kind for kind, _ in nodes] == ["Wan27WaitForVideo", "Wan27DecodeVideo"]
    assert nodes[1][1] is not None, "linked to Decode"
    with page.expect_response(re.compile("/prompt$")) as queued:
        panel.run()
    prompt_id = queued.value.json()["prompt_id"]
    expect(page.locator("video[src*='wan27']").first).to_be_attached()
    panel.frontend.shot(f"panel-{shot}-collected")

    entry = _history(panel, prompt_id)
    assert entry["status"]["status_str"] == "success"
    assert len(service.posts()) == 1, "the service got no second POST"


def _history(panel: Panel, prompt_id: str) -> dict:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = panel.comfy.get_json(f"/history/{prompt_id}")
        if prompt_id in found:
            return found[prompt_id]
    raise AssertionError("the prompt did not end")


def test_panel_of_a_page_loaded_during_a_task_shows_it(panel: Panel, service: Service, prompt: str) -> None:
    service.faults(HELD)
    run = panel.queue(prompt, 1).wait_for(lambda run: bool(service.posts()))

    panel.load()
    panel.open()

    panel.state(prompt, "running")
    service.faults()
    panel.state(prompt, "saved")
    assert run.wait().error is None


def test_panel_shows_a_failure_with_its_reason(panel: Panel, service: Service, prompt: str, which: str) -> None:
    service.faults(FAILED)
    panel.load()
    panel.open()
    panel.queue(prompt, 2).wait()

    panel.state(prompt, "failed")
    expect(panel.row(prompt)).to_contain_text("the image was refused")
    panel.page.locator("#wan27-filter").select_option("failed")
    expect(panel.row(prompt)).to_have_count(1)
    panel.page.locator("#wan27-filter").select_option("saved")
    expect(panel.row(prompt)).to_have_count(0)
    panel.page.locator("#wan27-filter").select_option("all")
    panel.frontend.shot(f"panel-{which}-failed")


def test_toast_announces_the_end_and_plays_the_video(panel: Panel, prompt: str, which: str) -> None:
    panel.load()
    panel.open()
    panel.queue(f"{prompt} one", 3).wait()
    panel.state(f"{prompt} one", "saved")
    panel.close()

    run = panel.queue(f"{prompt} two", 4)

    toast = panel.toasts.filter(has_text=f"{prompt} two")
    expect(toast).to_be_visible(timeout=90_000)
    panel.frontend.shot(f"panel-{which}-toast")
    assert panel.toasts.filter(has_text=f"{prompt} one").count() == 0, "the open tab showed that one"
    toast.get_by_text(prompt).last.click()
    player = panel.page.get_by_role("dialog").locator("video")
    panel.page.wait_for_function("video => video.readyState >= 2", arg=player.element_handle())
    panel.page.keyboard.press("Escape")
    expect(player).to_have_count(0)
    run.wait()


def test_panel_fetches_a_deleted_video_again(panel: Panel, prompt: str) -> None:
    files = set((panel.comfy.output / "wan27").glob("*.mp4"))
    panel.queue(prompt, 6).wait()
    (video,) = set((panel.comfy.output / "wan27").glob("*.mp4")) - files
    video.unlink()

    panel.load()
    panel.open()
    panel.state(prompt, "missing")
    panel.action(prompt, "fetchAgain").click()

    panel.state(prompt, "saved")
    assert video.is_file()


def test_panel_works_with_keyboard_and_screen_reader(panel: Panel, prompt: str) -> None:
    page = panel.page
    panel.queue(prompt, 7).wait()
    panel.load()
    panel.open()
    panel.state(prompt, "saved")

    page.locator("#wan27-search").focus()
    page.keyboard.type(prompt)
    expect(panel.rows).to_have_count(1)
    play = panel.row(prompt).locator(".wan27-thumbnail")
    for _ in range(12):  # past the filters; a date has several stops
        page.keyboard.press("Tab")
        if play.evaluate("element => element === document.activeElement"):
            break
    expect(page.locator(":focus")).to_have_attribute("aria-label", f"Play: {prompt}")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Video of task")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(":focus")).to_have_attribute("aria-label", f"Play: {prompt}")
    findings = panel.accessibility_findings()
    panel.load(**{"Comfy.ColorPalette": "light"})
    panel.open()
    expect(panel.row(prompt)).to_be_visible()
    findings += panel.accessibility_findings()
    assert findings == []
