from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, expect, sync_playwright

from tests.host.comfy import ComfyUI, ComfyUIError
from tests.host.fixtures import *  # noqa: F403  (fixtures and hooks are found by their names here)
from tests.host.fixtures import HELPERS, ComfyFactory, connected
from tests.host.provision import REPO, find_browser
from tests.service import Service

SHOTS = REPO / "out" / "screenshots"
"""Screenshots, to look at; not part of the repository."""

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The tests' machines have a small /dev/shm.
    "--disable-dev-shm-usage",
]
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.Persist": False,
}
"""Settings of a returning user: no templates dialog, no tour, no questions when a tab closes."""
LOOKUP = re.compile(r"'https://api\.comfy\.org/\S*' violates the following Content Security Policy")
"""Frontends look up the packs of every workflow in their registry; ComfyUI forbids it with --disable-api-nodes."""
OFFER = "Prefer the legacy design?"
"""Shown by 1.32.9 when the renderer is changed."""
expect.set_options(timeout=30_000)  # Playwright's own 5 s are short for an answer of ComfyUI on a busy machine

RENDERERS = ("canvas", "vue")
FRONTENDS = ("required", "newest")
StartFrontend = Callable[[dict[str, str]], ComfyUI]
"""Starts a ComfyUI with these environment variables."""


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    executable = os.environ.get("CHROMIUM") or find_browser()
    if not executable:
        raise ComfyUIError("No Chromium: `make test` installs one; or name one with CHROMIUM=/path/to/chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session", params=FRONTENDS)
def frontend_comfy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_service: Service
) -> Iterator[ComfyUI]:
    """A ComfyUI with each of the two frontends: the one its requirements name, and the newest."""
    if request.param == "required":
        comfy: ComfyUI = request.getfixturevalue("shared_comfy")
        yield _with_settings(comfy)
        return
    base, frontend = tmp_path_factory.mktemp("newest"), frontend_named("newest")
    with ComfyUI(base, env=connected(shared_service), custom_nodes=[HELPERS], frontend=frontend) as comfy:
        yield _with_settings(comfy)


@pytest.fixture(params=FRONTENDS)
def start_frontend(request: pytest.FixtureRequest, start_comfy: ComfyFactory) -> StartFrontend:
    """Starts a ComfyUI of the test's own, with each of the two frontends."""
    return lambda env: _with_settings(start_comfy(env=env, frontend=frontend_named(request.param)))


@pytest.fixture
def which(request: pytest.FixtureRequest) -> str:
    """The frontend of the test, of FRONTENDS."""
    params = request.node.callspec.params
    name: str = params.get("frontend_comfy") or params["start_frontend"]
    return name


@pytest.fixture
def prompt() -> str:
    """A prompt that no other test of this ComfyUI has put into the ledger."""
    return f"A paper boat {secrets.token_hex(4)}"


def frontend_named(name: str) -> Path | None:
    """Return the folder of a frontend; None for the one that ComfyUI's requirements name."""
    return Path(os.environ["COMFYUI_NEWEST_FRONTEND"]) if name == "newest" else None


def _with_settings(comfy: ComfyUI) -> ComfyUI:
    comfy.request("POST", "/settings", json=SETTINGS).raise_for_status()
    return comfy


class Frontend:
    """The frontend in a page of the browser, with the complaints in its console."""

    def __init__(self, page: Page, comfy: ComfyUI) -> None:
        self.page = page
        self.comfy = comfy
        self.console: list[ConsoleMessage] = []
        self.failures: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", self._failed)

    def _said(self, message: ConsoleMessage) -> None:
        self.console.append(message)

    def _failed(self, error: Error) -> None:
        self.failures.append(str(error))

    def open(self) -> None:
        """Load the frontend and wait until a graph can be put into it."""
        self.page.goto(self.comfy.url)
        self.page.wait_for_function(
            "() => window.app?.vueAppReady && app.graph && app.extensionManager?.spinner === false"
        )

    def render_with(self, renderer: str) -> None:
        """Draw nodes on the classic `canvas`, or as `vue` components ("Nodes 2.0")."""
        self.page.evaluate("on => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)", renderer == "vue")

    def complaints(self) -> list[str]:
        """Return the errors and warnings in the console that concern the pack, and every uncaught exception."""
        ours = re.compile(r"wan ?2\.?7|wan27", re.IGNORECASE)
        noted = [
            f"{message.type}: {message.text} ({message.location.get('url')})"
            for message in self.console
            if message.type in {"error", "warning"}
            and ours.search(message.text + str(message.location.get("url")))
            and not LOOKUP.search(message.text)
        ]
        return noted + self.failures

    def dialogs(self) -> list[str]:
        """Return the texts of open dialogs, which name missing nodes and missing models."""
        texts = self.page.locator("[role=dialog], [role=alertdialog], .p-toast-message").all_inner_texts()
        return [text for text in texts if not text.startswith(OFFER)]

    def shot(self, name: str) -> Path:
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path


@pytest.fixture
def frontend(browser: Browser, frontend_comfy: ComfyUI) -> Iterator[Frontend]:
    context = browser.new_context(viewport={"width": 1600, "height": 1000}, locale="en-US")
    context.set_default_timeout(60_000)
    frontend = Frontend(context.new_page(), frontend_comfy)
    frontend.open()
    yield frontend
    frontend.render_with("canvas")  # the server keeps the setting
    context.close()
