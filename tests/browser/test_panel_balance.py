"""The balance in the tab and on Wait for Video, beside the estimates, in both frontends."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.panel import Panel, panel_in
from tests.host.comfy import ComfyUI
from tests.service import Service


def wait_until_told(comfy: ComfyUI, text: str) -> None:
    """Wait until the service was asked for the balance again: an answer is reused for some seconds."""
    deadline = time.monotonic() + 60
    while text not in json.dumps(comfy.get_json("/wan27/balance")):
        assert time.monotonic() < deadline, f"the balance never said {text}"
        time.sleep(0.2)


@pytest.fixture
def panel(browser: Browser, frontend_comfy: ComfyUI, service: Service) -> Iterator[Panel]:
    with panel_in(browser, frontend_comfy) as made:
        yield made


def test_panel_shows_the_balance_after_each_video_beside_the_estimates(
    panel: Panel, frontend_comfy: ComfyUI, service: Service
) -> None:
    """The service takes $0.35 for a video that is estimated at $0.75."""
    service.credit_usd, service.usd_per_task = 50.0, 0.35
    prompt = f"A kite {secrets.token_hex(4)}"
    panel.load_example(prompt, secrets.randbelow(2**31))
    wait_until_told(frontend_comfy, '"available_usd": 50.0')
    panel.open()
    shown, compared = panel.tab.locator(".wan27-dl"), panel.tab.locator(".wan27-compared")
    expect(shown).to_contain_text("$50.00 available")

    service.serve.clear()
    panel.run()
    assert service.half_sent.wait(120)
    # The node waits for the answer no longer than for the video.
    wait_until_told(frontend_comfy, '"available_usd": 49.65')
    service.serve.set()

    panel.state(prompt, "saved")
    expect(shown).to_contain_text("$49.65 available")
    expect(compared).to_contain_text(re.compile(r"estimates \$\d+\.\d+, the balance (fell|rose) by"))
    expect(compared).to_contain_text("A comparison, not a bill.")
    expect(panel.page.get_by_text("Balance: $49.65").first).to_be_attached()
    assert panel.accessibility_findings() == []

    service.faults({"at": "balance", "kind": "unauthorized", "count": None})
    wait_until_told(frontend_comfy, "INVALID_API_KEY")
    panel.load(**{"Comfy.Locale": "zh"})
    panel.open()
    expect(shown).to_contain_text("INVALID_API_KEY")
    expect(compared).to_be_hidden()
