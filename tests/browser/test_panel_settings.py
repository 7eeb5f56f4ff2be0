"""Settings and check in the tab, in both frontends: from a new installation to a checked host, and from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Route, expect

from tests.browser.conftest import StartFrontend
from tests.browser.panel import Panel, panel_in
from tests.browser.test_panel_key import KEY, STORED
from tests.host.comfy import ComfyUI
from tests.host.fixtures import QUICK
from tests.media_files import photo, png
from tests.service import Service


@pytest.fixture
def keyless(service: Service, start_frontend: StartFrontend) -> Iterator[ComfyUI]:
    """A new installation without a key; with a key, its requests would go to the service on this machine."""
    env = {"WAN27_NOVITA_BASE_URL": service.url, "WAN27_STORAGE_KIND": "sandbox", **QUICK}
    comfy = start_frontend(env)
    yield comfy


@pytest.fixture
def panel(browser: Browser, keyless: ComfyUI) -> Iterator[Panel]:
    with panel_in(browser, keyless) as made:
        yield made


def test_settings_lead_from_a_new_installation_to_a_checked_host(panel: Panel, service: Service, which: str) -> None:
    page, tab = panel.page, panel.tab
    config = panel.comfy.base / "user" / "__wan27" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("# mine\n[budget]\nper_day_usd = 9.0 # a day\n")
    panel.load()
    panel.open()

    page.get_by_role("button", name="Choose a host and enter its key").press("Enter")  # with the keyboard
    settings = page.locator(".wan27-settings")
    host = page.get_by_label("Where requests go")
    expect(host).to_be_focused()
    expect(settings).to_contain_text("Choose a host to enter its key.")
    expect(host).to_have_value("auto")
    expect(page.get_by_label("Where files are stored")).to_be_disabled()
    expect(tab).to_contain_text("set by WAN27_STORAGE_KIND")
    host.select_option("dashscope")
    expect(tab).to_contain_text("takes uploads, keeps them 48 h")
    host.select_option("kie")
    expect(settings.get_by_label("USD per second, 720P")).to_have_attribute("placeholder", "0.08")
    host.select_option("novita")
    expect(tab).to_contain_text("takes no uploads")
    expect(settings.get_by_label("USD per second, 720P")).to_have_attribute("placeholder", "0.10")
    expect(tab.get_by_role("link", name="Get a key from Novita AI")).to_be_visible()
    settings.get_by_label("Most for one day (USD)").fill("12.5")
    save = page.get_by_role("button", name="Save settings")
    save.click()
    expect(settings.get_by_role("alert")).to_contain_text("needs a key")
    panel.frontend.console.clear()  # the browser reports the refusal, too
    settings.get_by_label("API key", exact=True).fill(KEY)
    panel.frontend.shot(f"settings-{which}")
    assert panel.accessibility_findings() == []
    save.click()

    expect(tab).to_contain_text(f"ends in {KEY[-4:]}")
    expect(settings.get_by_label("API key", exact=True)).to_have_attribute("placeholder", "set, not shown")
    text = config.read_text()
    assert text == (
        f'connection = "novita"\n# mine\n[budget]\nper_day_usd = 12.5 # a day\n\n[novita]\napi_key = "{KEY}"\n'
    )
    assert KEY not in page.evaluate(STORED) + json.dumps(panel.comfy.get_json("/wan27/settings"))

    tab.get_by_text("Check the setup").click()
    page.get_by_role("button", name="Run the check").click()
    findings = tab.locator(".wan27-findings li")
    expect(tab).to_contain_text("Nothing has to be changed.")
    expect(findings).to_have_count(4)
    expect(findings.nth(1)).to_contain_text("Balance: $")
    assert service.posts() == []
    panel.frontend.shot(f"check-{which}")
    assert panel.accessibility_findings() == []

    service.faults({"at": "balance", "kind": "unauthorized", "count": None})
    page.get_by_role("button", name="Run the check").click()
    expect(tab).to_contain_text("1 of 4 need a change.")
    expect(findings.nth(1)).to_contain_text("api_key under [novita]")


def test_settings_from_another_machine_are_lines_to_copy(panel: Panel, which: str) -> None:
    page, tab = panel.page, panel.tab

    def from_elsewhere(route: Route) -> None:
        route.continue_(headers={**route.request.headers, "X-Forwarded-For": "203.0.113.5"})

    page.route("**/wan27/*", from_elsewhere)
    panel.load(**{"Comfy.Locale": "zh", "Comfy.ColorPalette": "light"})
    panel.open()
    tab.get_by_text("设置", exact=True).click()
    settings = page.locator(".wan27-settings")
    settings.get_by_label("请求发往").select_option("kie")
    settings.get_by_label("每日上限（美元）").fill("5")

    lines = settings.locator("pre")
    expect(lines).to_have_text('connection = "kie"\n\n[budget]\nper_day_usd = 5\n\n[kie]\napi_key = "在此填写"')
    expect(settings.get_by_label("API 密钥", exact=True)).to_be_disabled()
    expect(settings.get_by_role("button", name="保存设置")).to_have_count(0)
    expect(settings).to_contain_text("__wan27/config.toml")
    page.evaluate("() => { document.querySelector('.wan27-tab').style.width = '300px'; }")
    overflow = page.evaluate(
        "() => { const tab = document.querySelector('.wan27-tab'); return tab.scrollWidth - tab.clientWidth; }"
    )
    assert overflow <= 0, "fits into 300 px"
    panel.frontend.shot(f"settings-remote-{which}")
    assert panel.accessibility_findings() == []
    assert not (panel.comfy.base / "user" / "__wan27" / "config.toml").exists()


def test_panel_leads_from_a_new_installation_to_a_paid_video_in_eight_clicks(panel: Panel, service: Service) -> None:
    page, tab = panel.page, panel.tab
    clicks = 0

    def click(target: Locator) -> None:
        nonlocal clicks
        target.click()
        clicks += 1

    panel.comfy.upload("example.png", png(photo(512, 512, seed=1)))  # every ComfyUI comes with such an image
    panel.load()
    click(panel.opener)
    click(tab.get_by_role("button", name="Open an example"))
    page.wait_for_function("() => app.graph.nodes.some(node => node.type === 'Wan27ImageToVideo')")
    run = page.locator("[data-testid=queue-button], button[aria-label=Run]").first
    expect(panel.info).to_contain_text("· free")
    click(run)
    expect(panel.rows.first.locator(".wan27-state")).to_have_attribute("data-state", "saved", timeout=120_000)
    assert service.posts() == []

    click(page.get_by_role("button", name="Choose a host and enter its key"))
    page.get_by_label("Where requests go").select_option("novita")
    clicks += 1
    page.locator(".wan27-settings").get_by_label("API key", exact=True).fill(KEY)  # pasted
    clicks += 1
    click(page.get_by_role("button", name="Save settings"))
    expect(panel.info).to_contain_text("· novita")
    click(run)
    expect(panel.rows).to_have_count(2)
    expect(panel.rows.first.locator(".wan27-state")).to_have_attribute("data-state", "saved", timeout=120_000)
    assert len(service.posts()) == 1
    assert clicks == 8
