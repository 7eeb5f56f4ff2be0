"""The task list of the tab: its menu, what the actions do, and thousands of rows. In both frontends."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from nodes.ledger import Ledger
from tests.browser.conftest import SETTINGS, frontend_named
from tests.browser.panel import Panel, panel_in
from tests.conftest import Measured
from tests.host.comfy import ComfyUI
from tests.host.fixtures import QUICK, ComfyFactory
from tests.hosts.fixtures import STAND_INS
from tests.media_files import clip_bytes
from tests.service import Service

ROWS = 10_000
SCROLL = """async steps => {
    const tab = document.querySelector(".wan27-tab");
    const step = (tab.scrollHeight - tab.clientHeight) / steps;
    let last = await new Promise(requestAnimationFrame);
    const frames = [];
    for (let done = 0; done < steps; done += 1) {
        tab.scrollTop += step;
        const now = await new Promise(requestAnimationFrame);
        frames.push(now - last);
        last = now;
    }
    frames.sort((a, b) => a - b);
    return { p50: frames[steps / 2], p95: frames[Math.floor(steps * 0.95)], most: frames.at(-1) };
}"""
"""Scrolls through the whole list without a stop; returns the milliseconds between frames."""
END = "() => { const tab = document.querySelector('.wan27-tab'); tab.scrollTop = tab.scrollHeight; }"
PLAYING = "() => [...document.querySelectorAll('.wan27-pair video')].every(one => one.currentTime > 0.2)"
STILL = "() => [...document.querySelectorAll('.wan27-pair video')].every(one => !one.seeking)"
TIMES = "videos => videos.map(video => video.currentTime)"


newest_only = pytest.mark.parametrize("frontend_comfy", ["newest"], indirect=True)
"""For what does not depend on the frontend."""


@pytest.fixture
def panel(browser: Browser, frontend_comfy: ComfyUI, service: Service) -> Iterator[Panel]:
    with panel_in(browser, frontend_comfy) as made:
        yield made


def finished(panel: Panel, *prompts: str) -> None:
    """Make a video of each prompt, and open the tab."""
    for number, prompt in enumerate(prompts):
        panel.queue(prompt, number).wait()
    panel.load()
    panel.open()
    for prompt in prompts:
        panel.state(prompt, "saved")


def test_menu_of_a_task_works_with_the_keyboard(panel: Panel, prompt: str, which: str) -> None:
    page = panel.page
    finished(panel, prompt)
    button = panel.row(prompt).locator("[aria-haspopup=menu]")
    button.focus()
    page.keyboard.press("Enter")
    focused = page.locator(":focus")

    expect(focused).to_have_attribute("data-action", "download")
    names = page.get_by_role("menu").locator("[data-action]").evaluate_all("all => all.map(one => one.dataset.action)")
    assert names == ["download", "compare", "toCanvas", "copy", "remove"]
    page.keyboard.press("ArrowUp")
    expect(focused).to_have_attribute("data-action", "remove")
    page.keyboard.press("c")
    expect(focused).to_have_attribute("data-action", "compare")
    findings = panel.accessibility_findings(".wan27-menu")
    panel.frontend.shot(f"tasks-{which}-menu")
    page.evaluate("() => app.extensionManager.setting.set('Comfy.ColorPalette', 'light')")
    findings += panel.accessibility_findings(".wan27-menu")
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_have_count(0)
    expect(button).to_be_focused()
    expect(button).to_have_attribute("aria-expanded", "false")
    button.click()
    button.click()
    expect(page.get_by_role("menu")).to_have_count(0)
    assert findings == []


def test_two_videos_are_compared_side_by_side_and_in_sync(panel: Panel, prompt: str, which: str) -> None:
    page = panel.page
    finished(panel, f"{prompt} one", f"{prompt} two")

    panel.action(f"{prompt} one", "compare").click()
    panel.row(f"{prompt} two").get_by_role("button", name="Compare", exact=True).click()

    dialog = page.get_by_role("dialog", name="Compare two videos")
    videos = dialog.locator("video")
    page.wait_for_function(PLAYING)
    dialog.get_by_role("button", name="Pause").click()
    slider = dialog.get_by_role("slider")
    slider.fill("1")
    page.wait_for_function(STILL)
    assert videos.evaluate_all(TIMES) == [1, 1]
    slider.press("ArrowRight")
    first, second = videos.evaluate_all(TIMES)
    assert first == second > 1
    expect(dialog.locator("tbody th").nth(0)).to_have_text("Prompt")
    expect(dialog.locator("tbody th").nth(1)).to_have_text("Seed")
    findings = panel.accessibility_findings(".wan27-compare")
    panel.frontend.shot(f"tasks-{which}-compare")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(panel.row(f"{prompt} two").locator("[aria-haspopup=menu]")).to_be_focused()
    assert findings == []


@newest_only
def test_task_that_was_removed_can_be_put_back_and_is_not_paid_for_again(
    panel: Panel, service: Service, prompt: str
) -> None:
    page = panel.page
    before = videos_of(panel)
    finished(panel, prompt)
    (file,) = videos_of(panel) - before
    question = page.get_by_role("dialog", name="Remove from the list")
    remove = question.get_by_role("button", name="Remove", exact=True)
    state = page.locator("#wan27-filter")

    panel.action(prompt, "remove").click()
    remove.click()
    expect(panel.row(prompt)).to_have_count(0)
    assert file.exists()
    state.select_option("removed")
    panel.action(prompt, "restore").click()
    expect(panel.row(prompt)).to_have_count(0)
    state.select_option("all")

    panel.action(prompt, "remove").click()
    question.get_by_role("checkbox").check()
    expect(question.get_by_role("alert")).to_contain_text("paid for")
    findings = panel.accessibility_findings(".wan27-dialog")
    panel.frontend.shot("tasks-remove")
    with page.expect_response("**/remove"):  # the task leaves the list before its file is deleted
        remove.click()
    expect(panel.row(prompt)).to_have_count(0)
    assert not file.exists()

    panel.queue(prompt, 0).wait()
    panel.state(prompt, "saved")
    assert file.exists() and len(service.posts()) == 1
    assert findings == []


def videos_of(panel: Panel) -> set[Path]:
    return set((panel.comfy.output / "wan27").glob("*.mp4"))


def test_task_that_is_queued_is_canceled_at_its_host_after_a_question(
    browser: Browser, start_comfy: ComfyFactory, prompt: str
) -> None:
    with STAND_INS["fal"]() as host:
        comfy = start_comfy(env=QUICK | host.environment(), frontend=frontend_named("newest"))
        comfy.request("POST", "/settings", json=SETTINGS).raise_for_status()
        host.hold = "queued"
        with panel_in(browser, comfy) as panel:
            panel.load()
            panel.open()
            panel.queue(prompt, 1)
            expect(panel.row(prompt)).to_contain_text(re.compile(r"Queued.*fal · ≈ \$", re.DOTALL))

            panel.action(prompt, "cancel").click()
            question = panel.page.get_by_role("dialog").filter(has_text="it is not billed")
            question.get_by_role("button", name="Confirm").click()

            panel.state(prompt, "failed")
            expect(panel.row(prompt)).to_contain_text("which costs nothing")
            expect(panel.page.locator(".wan27-top")).to_contain_text("fal ≈ $0.00 (1)")
        assert host.count["cancel"] == 1 and host.mistakes == []


@newest_only
def test_list_is_filtered_by_host_and_day_and_shows_the_totals(panel: Panel, prompt: str) -> None:
    page = panel.page
    finished(panel, prompt)
    today = page.evaluate("async () => (await (await fetch('/wan27/tasks?limit=1')).json()).tasks[0].day")

    page.locator("#wan27-day").fill(today)
    expect(page.locator(".wan27-tasks .wan27-totals")).to_contain_text(
        re.compile(rf"{today}: Novita AI ≈ \$[\d.]+ \(\d+\)")
    )
    expect(panel.row(prompt)).to_have_count(1)
    expect(panel.row(prompt)).to_contain_text("Novita AI · ≈ $")
    page.locator("#wan27-host").select_option("fal")
    expect(panel.row(prompt)).to_have_count(0)
    page.locator("#wan27-host").select_option("novita")
    expect(panel.row(prompt)).to_have_count(1)
    page.locator("#wan27-day").fill("2024-02-29")
    expect(panel.rows).to_have_count(0)
    expect(page.locator(".wan27-top")).to_contain_text(re.compile(r"Novita AI ≈ \$[\d.]+ \(\d+\)"))


@newest_only
def test_search_finds_new_tasks_by_the_whole_prompt_and_says_when_it_failed(panel: Panel, prompt: str) -> None:
    page = panel.page
    end = f"end {secrets.token_hex(4)}"
    panel.load()
    panel.open()
    page.locator("#wan27-search").fill(end)
    expect(panel.rows).to_have_count(0)

    panel.queue(f"{prompt} {'and so on ' * 50}{end}", 1).wait()
    panel.state(prompt, "saved")
    expect(panel.rows).to_have_count(1)

    page.route("**/wan27/task_ids*", lambda route: route.abort())
    page.locator("#wan27-search").fill("")
    again = panel.tab.get_by_role("button", name="Try again")
    expect(again).to_be_in_viewport()
    page.unroute("**/wan27/task_ids*")
    again.click()
    expect(again).to_have_count(0)
    expect(panel.row(prompt)).to_have_count(1)
    panel.frontend.console.clear()  # the browser reports the request that was aborted


def test_list_of_ten_thousand_tasks_has_rows_only_for_those_in_sight(
    panel: Panel, which: str, measured: Measured
) -> None:
    def opened() -> float:
        panel.load()
        started = time.monotonic()
        panel.opener.click()
        expect(panel.rows.or_(panel.page.locator(".wan27-note:visible")).first).to_be_visible()
        return time.monotonic() - started

    posters: list[str] = []
    panel.page.on("request", lambda request: "/wan27/posters/" in request.url and posters.append(request.url))
    with other_tasks_put_aside(panel) as ledger:
        opened()  # once, so that everything is loaded
        none = opened()
        fill(ledger, panel.comfy.output)
        many = opened()
        expect(panel.page.locator(".wan27-count")).to_contain_text(str(ROWS))
        expect(panel.rows.first).to_contain_text(f"number {ROWS - 1},")
        expect(panel.rows.locator("img[src]").first).to_be_attached()
        frames = panel.page.evaluate(SCROLL, 200)
        panel.page.evaluate(END)
        expect(panel.row("number 0,")).to_be_visible()
        expect(panel.rows.locator("img[src]").last).to_be_attached()
        expect(panel.rows.last).to_have_attribute("aria-posinset", str(ROWS))
        assert panel.rows.count() < 150
        panel.frontend.shot(f"panel-{which}-{ROWS}-rows")

    measured(
        f"tab with no rows {none:.2f} s, with {ROWS} rows {many:.2f} s; scrolling: {frames}, {len(posters)} posters "
        f"requested ({which} frontend)"
    )
    assert 0 < len(posters) < ROWS / 3 / 4  # a third of the tasks has one


@contextmanager
def other_tasks_put_aside(panel: Panel) -> Iterator[Ledger]:
    ledger = Ledger(panel.comfy.base / "user" / "__wan27" / "ledger.sqlite3")
    with ledger.database.writing() as db:
        db.execute("CREATE TABLE IF NOT EXISTS put_aside AS SELECT * FROM tasks")
        db.execute("DELETE FROM tasks")
    try:
        yield ledger
    finally:
        with ledger.database.writing() as db:
            db.execute("DELETE FROM tasks")
            db.execute("INSERT INTO tasks SELECT * FROM put_aside")
            db.execute("DROP TABLE put_aside")
        ledger.close()


def fill(ledger: Ledger, output: Path) -> None:
    """Put ROWS tasks into the ledger, a third of them with a video."""
    video = output / "filler.mp4"
    video.write_bytes(clip_bytes(1.0))
    now = time.time()
    rows = [
        (
            ("failed", "saved", "unknown")[number % 3],
            f"filler-{number}",
            json.dumps({"prompt": f"Filler number {number}, of some length", "duration": 5, "resolution": "720P"}),
            "The image was refused by the service" if number % 3 == 0 else "",
            now - number,
            *((video.name, f"{number:064x}") if number % 3 == 1 else (None, None)),
        )
        for number in range(ROWS)
    ]
    with ledger.database.writing() as db:
        db.executemany(
            "INSERT INTO tasks (fingerprint, state, task_id, service, connection, base_url, request, reason, counted, "
            "owner, created_at, file, file_sha256) "
            "VALUES ('', ?, ?, 'sandbox', 'sandbox', '', ?, ?, 0, '', ?, ?, ?)",
            rows,
        )
