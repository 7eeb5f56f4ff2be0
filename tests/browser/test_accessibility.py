"""Every state of the tab: axe finds nothing, at 300 pixels nothing overflows, and the keyboard is enough."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, Route, expect

from nodes.ledger import Ledger
from tests.browser.conftest import StartFrontend
from tests.browser.panel import Panel, panel_in
from tests.browser.test_panel_key import KEY
from tests.host.comfy import ComfyUI
from tests.host.fixtures import QUICK

NARROW = "on => { document.querySelector('.wan27-tab').style.width = on ? '300px' : ''; }"
OVERFLOW = "() => { const tab = document.querySelector('.wan27-tab'); return tab.scrollWidth - tab.clientWidth; }"
MOVING = """() => document.getAnimations().map(one => one.effect?.target)
    .filter(element => element?.closest(".wan27")).map(element => element.outerHTML.slice(0, 200))"""
LONG = "A-word-that-is-longer-than-the-tab-is-wide-" * 6


@pytest.fixture
def comfy(start_frontend: StartFrontend) -> Iterator[ComfyUI]:
    """A ComfyUI without a key, in which nothing has run."""
    comfy = start_frontend({"WAN27_KIE_BASE_URL": "http://127.0.0.1:9", **QUICK})  # nothing answers there
    yield comfy


@pytest.fixture
def panel(browser: Browser, comfy: ComfyUI) -> Iterator[Panel]:
    with panel_in(browser, comfy) as made:
        yield made


def _section(panel: Panel, number: int) -> Locator:
    """Return the settings (0) or the check (1)."""
    return panel.tab.locator(".wan27-section").nth(number)


def _settings(panel: Panel) -> Locator:
    section = _section(panel, 0)
    if section.get_attribute("open") is None:
        section.locator("> summary").click()
    return section


def _field(panel: Panel, name: str) -> Locator:
    return panel.page.locator(f"#wan27-set-{name}")


def _show_guide(panel: Panel) -> None:
    expect(panel.tab.locator(".wan27-guide")).to_be_visible()


def _show_settings(panel: Panel) -> None:
    _settings(panel)
    expect(_field(panel, "connection")).to_be_visible()


def _show_host_with_public_uploads(panel: Panel) -> None:
    _settings(panel)
    _field(panel, "connection").select_option("kie")
    expect(panel.tab.locator(".wan27-warning").first).to_be_visible()


def _show_bucket_with_rare_fields(panel: Panel) -> None:
    _settings(panel)
    _field(panel, "storage-kind").select_option("s3")
    _section(panel, 0).locator("details summary").click()
    expect(_field(panel, "storage-s3-session_token")).to_be_visible()


def _show_preset(panel: Panel) -> None:
    _settings(panel)
    _field(panel, "storage-kind").select_option("http")
    _field(panel, "storage-http-preset").select_option("wavespeed")
    expect(_field(panel, "storage-http-api_key")).to_be_visible()


def _show_refusal(panel: Panel) -> None:
    _settings(panel).locator("button[type=submit]").click()
    expect(_section(panel, 0).locator("[role=alert]")).to_be_visible()
    _section(panel, 0).locator("> summary").click()


def _show_check(panel: Panel) -> None:
    section = _section(panel, 1)
    section.locator("> summary").click()
    section.get_by_role("button").click()
    expect(section.locator(".wan27-state[data-level=ok]")).to_have_count(4)
    section.locator("> summary").click()


def _show_tasks(panel: Panel) -> None:
    expect(panel.rows).to_have_count(6)


def _show_menu(panel: Panel) -> None:
    panel.open_menu("Cut one")


def _show_removal(panel: Panel) -> None:
    panel.action("Cut one", "remove").click()
    panel.page.locator("#wan27-remove-file").check()


def _show_choosing(panel: Panel) -> None:
    panel.action("Cut one", "compare").click()
    expect(panel.tab.locator(".wan27-choosing button")).to_be_visible()


def _show_comparison(panel: Panel) -> None:
    panel.row("Cut two").locator(".wan27-compare-this").click()
    expect(panel.page.locator(".wan27-compare [role=alert]")).to_be_visible()  # the files are no videos
    expect(panel.page.locator(".wan27-differences table")).to_be_visible()


STATES: dict[str, Callable[[Panel], None]] = {
    "guide and tasks": _show_guide,
    "tasks": _show_tasks,
    "settings": _show_settings,
    "host with public uploads": _show_host_with_public_uploads,
    "bucket": _show_bucket_with_rare_fields,
    "preset": _show_preset,
    "refusal": _show_refusal,
    "check": _show_check,
}
OPENED: dict[str, Callable[[Panel], None]] = {
    ".wan27-menu": _show_menu,
    ".wan27-dialog": _show_removal,
    ".wan27-choosing": _show_choosing,
    ".wan27-compare": _show_comparison,
}
"""What opens from a row of the list, in this order, and is closed with Escape."""
LOOKS = [("dark", "en"), ("light", "zh"), ("dark", "zh"), ("light", "en")]


def test_tab_has_no_accessibility_findings_in_any_state(panel: Panel) -> None:
    panel.load()
    panel.open()
    found = [f"empty: {text}" for text in panel.accessibility_findings()]
    _fill(panel.comfy)
    for palette, locale in LOOKS:
        panel.load(**{"Comfy.ColorPalette": palette, "Comfy.Locale": locale})
        panel.open()
        for state, show in STATES.items():
            show(panel)
            for narrow in (False, True):
                panel.page.evaluate(NARROW, narrow)
                where = f"{state}, {palette}, {locale}{', 300 px' if narrow else ''}"
                found += [f"{where}: {text}" for text in panel.accessibility_findings()]
                if (overflow := panel.page.evaluate(OVERFLOW)) > 0:
                    found.append(f"{where}: {overflow} px too wide")
            panel.page.evaluate(NARROW, False)
        for part, show in OPENED.items():
            show(panel)
            found += [f"{part}, {palette}, {locale}: {text}" for text in panel.accessibility_findings(part)]
            if part != ".wan27-choosing":
                panel.page.keyboard.press("Escape")
                expect(panel.page.locator(part)).to_have_count(0)
    panel.frontend.console.clear()  # the browser reports the refusals, too
    assert found == []


def _fill(comfy: ComfyUI) -> None:
    """Put a task of each look into the ledger."""
    rows = [
        ("failed", "sandbox", "A boat", "InternalError: the image was refused", None),
        ("unknown", "novita", LONG, "The answer was lost.", None),
        ("saved", "fal", "", "", None),
        ("saved", "novita", "猫" * 200, "", None),
        ("saved", "fal", "Cut one", "", "one.mp4"),
        ("saved", "fal", "Cut two", "", "two.mp4"),
    ]
    for *_, file in rows:
        if file:
            (comfy.output / file).write_bytes(b"no video")
    ledger = Ledger(comfy.base / "user" / "__wan27" / "ledger.sqlite3")
    with ledger.database.writing() as db:
        db.executemany(
            "INSERT INTO tasks (fingerprint, state, task_id, service, connection, base_url, request, counted, owner, "
            "created_at, reason, file, estimate) VALUES ('', ?, ?, ?, ?, '', ?, 0, '', ?, ?, ?, 0.5)",
            [
                (state, f"row-{number}-{LONG[:60]}", host, host, _request(prompt), time.time() - number, reason, file)
                for number, (state, host, prompt, reason, file) in enumerate(rows)
            ],
        )
    ledger.close()


def _request(prompt: str) -> str:
    return json.dumps({"prompt": prompt, "duration": 5, "resolution": "720P"})


def test_settings_from_another_machine_have_no_accessibility_findings(panel: Panel) -> None:
    def from_elsewhere(route: Route) -> None:
        route.continue_(headers={**route.request.headers, "X-Forwarded-For": "203.0.113.5"})

    panel.page.route("**/wan27/*", from_elsewhere)
    panel.load()
    panel.open()
    _show_host_with_public_uploads(panel)
    expect(_section(panel, 0).locator("pre")).to_be_visible()
    assert panel.accessibility_findings() == []


def test_settings_and_check_need_only_the_keyboard(panel: Panel) -> None:
    page = panel.page
    panel.load()
    panel.opener.focus()
    page.keyboard.press("Enter")
    _tab_to(panel, page.get_by_role("button", name="Choose a host and enter its key"))
    page.keyboard.press("Enter")
    host = _field(panel, "connection")
    expect(host).to_be_focused()
    page.keyboard.press("n")  # which is a shortcut of ComfyUI
    expect(host).to_have_value("novita")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    expect(host).to_have_value("kie")
    _tab_to(panel, _field(panel, "kie-api_key"))
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    expect(panel.tab).to_contain_text(f"ends in {KEY[-4:]}")
    expect(page.get_by_role("button", name="Save settings")).to_be_focused()

    # Back to the key, which is removed, and to the sandbox.
    remove = page.get_by_role("button", name="Remove: API key")
    _tab_to(panel, remove, "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Keep: API key")).to_be_focused()
    _tab_to(panel, host, "Shift+Tab")
    page.keyboard.press("End")
    expect(host).to_have_value("sandbox")
    expect(_field(panel, "kie-api_key")).to_have_count(0)
    save = page.get_by_role("button", name="Save settings")
    _tab_to(panel, save)
    page.keyboard.press("Enter")
    expect(panel.toasts.filter(has_text="Requests stay in the sandbox")).to_be_visible()
    expect(save).to_be_focused()
    assert KEY not in (panel.comfy.base / "user" / "__wan27" / "config.toml").read_text(encoding="utf-8")

    check = _section(panel, 1)
    _tab_to(panel, check.locator("> summary"))
    page.keyboard.press("Enter")
    run = page.get_by_role("button", name="Run the check")
    _tab_to(panel, run)
    page.keyboard.press("Enter")
    expect(check.locator(".wan27-state[data-level=ok]")).to_have_count(4)
    expect(run).to_be_focused()


def test_stored_secrets_are_removed_with_the_other_changes(panel: Panel) -> None:
    page = panel.page
    config = panel.comfy.base / "user" / "__wan27" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(
        f'[storage]\nkind = "http"\n\n[storage.http]\npreset = "wavespeed"\napi_key = "{KEY}"\n', encoding="utf-8"
    )
    panel.load()
    panel.open()
    _settings(panel)
    secret = _field(panel, "storage-http-api_key")
    expect(secret).to_have_attribute("placeholder", "set, not shown")

    page.get_by_role("button", name="Remove: API key").click()
    expect(secret).to_have_attribute("placeholder", "is removed when you save")
    page.get_by_role("button", name="Keep: API key").click()
    expect(secret).to_be_enabled()
    page.get_by_role("button", name="Remove: API key").click()
    _field(panel, "storage-http-preset").select_option("litterbox")
    page.get_by_role("button", name="Save settings").click()

    expect(panel.toasts.filter(has_text="The settings are saved")).to_be_visible()
    assert KEY not in config.read_text(encoding="utf-8")


def _tab_to(panel: Panel, target: Locator, key: str = "Tab") -> None:
    """Press a key until an element has the focus."""
    for _ in range(60):
        panel.page.keyboard.press(key)
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"60 times {key} do not reach {target}")


def test_tab_moves_nothing_for_users_who_want_less_motion(panel: Panel) -> None:
    page = panel.page
    page.emulate_media(reduced_motion="reduce")
    ledger = Ledger(panel.comfy.base / "user" / "__wan27" / "ledger.sqlite3")
    with ledger.database.writing() as db:
        db.execute(
            "INSERT INTO tasks (fingerprint, state, task_id, service, connection, base_url, request, counted, owner, "
            "created_at) VALUES ('', 'submitted', 'slow-one', 'novita', 'novita', '', ?, 0, '', ?)",
            (_request("A boat"), time.time()),
        )
    ledger.close()
    panel.load()
    panel.open()

    bar = panel.rows.locator("progress")
    expect(bar).to_be_visible()
    assert bar.evaluate("bar => [bar.position, getComputedStyle(bar).appearance]") == [-1, "none"]
    assert page.evaluate(MOVING) == []
