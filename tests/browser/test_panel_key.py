"""From the sandbox to a key, in both frontends: the key goes to the server and nowhere else."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Response, expect

from tests.browser.conftest import StartFrontend
from tests.browser.panel import Panel, panel_in
from tests.host.comfy import ComfyUI
from tests.host.fixtures import PLENTY, QUICK
from tests.service import Service

KEY = "sk-typed-by-hand-0123456789"
STORED = """async () => {
    const databases = await indexedDB.databases();
    return JSON.stringify([
        Object.entries(localStorage), Object.entries(sessionStorage), document.cookie, databases,
        document.documentElement.outerHTML, [...document.querySelectorAll("input, textarea")].map(field => field.value),
    ]);
}"""
WORKFLOW = "async () => JSON.stringify(await app.graphToPrompt())"


@pytest.fixture
def keyless(service: Service, start_frontend: StartFrontend) -> Iterator[ComfyUI]:
    """A new installation without a key; with a key, its requests would go to the service on this machine."""
    env = {"WAN27_NOVITA_BASE_URL": service.url, "WAN27_STORAGE_KIND": "sandbox", **QUICK, **PLENTY}
    comfy = start_frontend(env)
    comfy.request("POST", "/settings", json={"Comfy.Workflow.Persist": True})
    yield comfy


@pytest.fixture
def panel(browser: Browser, keyless: ComfyUI) -> Iterator[Panel]:
    with panel_in(browser, keyless) as made:
        yield made


def test_key_is_entered_used_and_leaked_nowhere(panel: Panel, service: Service, which: str) -> None:
    page, responses = panel.page, []
    page.on("response", lambda response: responses.append(_body(response)))
    panel.load()
    panel.add_submit()
    panel.open()
    guide = page.locator(".wan27-guide")
    expect(guide.locator("li")).to_have_count(3)
    expect(panel.info).to_contain_text("SANDBOX")
    panel.frontend.shot(f"guide-{which}")
    assert panel.accessibility_findings() == []

    page.get_by_role("button", name="Choose a host and enter its key").click()
    page.get_by_label("Where requests go").select_option("novita")
    expect(page.locator("input[type=password]"), "there is one field for the key").to_have_count(1)
    page.get_by_label("API key", exact=True).fill(KEY)
    page.get_by_role("button", name="Save settings").click()
    expect(panel.toasts.filter(has_text="are billed")).to_be_visible()

    expect(panel.tab).to_contain_text(f"ends in {KEY[-4:]}")
    expect(guide).to_have_count(0)
    expect(panel.info.locator(".wan27-badge")).to_be_hidden()
    config = panel.comfy.base / "user" / "__wan27" / "config.toml"
    assert KEY in config.read_text()
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    panel.tab.get_by_role("button", name="Check", exact=True).click()
    expect(panel.tab).to_contain_text("available")

    panel.queue("paid for with that key", 1).wait()
    panel.state("paid for with that key", "saved")
    assert len(service.posts()) == 1
    panel.frontend.shot(f"key-{which}")

    seen = [*responses, page.evaluate(STORED), page.evaluate(WORKFLOW), panel.comfy.log]
    seen += [json.dumps(panel.comfy.get_json(path)) for path in ("/history", "/settings", "/wan27/status")]
    assert len(responses) > 10
    assert not [text[:200] for text in seen if KEY in text]

    panel.tab.get_by_role("button", name="Change").click()
    expect(page.get_by_label("API key", exact=True)).to_be_focused()
    panel.tab.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("button", name="Confirm").click()
    expect(guide).to_be_attached()
    assert KEY not in config.read_text()


def _body(response: Response) -> str:
    try:
        return response.url + json.dumps(response.headers) + response.text()
    except Exception:  # a redirect, an image, or a page that is gone: no text
        return response.url
