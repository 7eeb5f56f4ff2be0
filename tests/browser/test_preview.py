"""The video on Wait for Video: it is there again after a look at another workflow, and after the page was reloaded."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import RENDERERS, SETTINGS, Frontend
from tests.browser.test_example_workflow import OPEN
from tests.comfyui import example
from tests.host.comfy import ComfyUI

SHOWN = """() => [...document.querySelectorAll("video")].some(video => video.readyState > 0
    && /subfolder=wan27&/.test(video.currentSrc))"""
COMMAND = "command => app.extensionManager.command.execute(command)"


@pytest.fixture
def reopening(frontend_comfy: ComfyUI) -> Iterator[None]:
    """Upload the input files, and let the frontend open the last workflow again when the page is loaded."""
    example.upload_inputs(frontend_comfy)
    frontend_comfy.request("POST", "/settings", json={"Comfy.Workflow.Persist": True}).raise_for_status()
    yield
    frontend_comfy.request("POST", "/settings", json=SETTINGS).raise_for_status()


def test_preview_survives_another_workflow_and_a_reload(reopening: None, frontend: Frontend) -> None:
    page = frontend.page
    page.evaluate(OPEN, json.loads(example.WORKFLOW.read_text()))
    page.evaluate("() => app.queuePrompt(0)")
    page.wait_for_function(SHOWN)

    look_at_another_workflow(page)

    for renderer in RENDERERS:
        frontend.render_with(renderer)
        frontend.open()  # loads the page again
        page.wait_for_function(SHOWN)
        look_at_another_workflow(page)
    assert "\n".join(frontend.complaints()) == ""


def look_at_another_workflow(page: Page) -> None:
    page.evaluate(COMMAND, "Comfy.NewBlankWorkflow")
    page.wait_for_function(f"() => !({SHOWN})()")
    page.evaluate(COMMAND, "Workspace.CloseWorkflow")  # back to the one before
    page.wait_for_function(SHOWN)
