"""Fixtures for comfyui/ and browser/: the shared ComfyUI, the service it talks to, and ways to get others."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service import KEY, Service

from .comfy import ComfyUI

HELPERS = Path(__file__).resolve().parents[1] / "comfyui" / "helper_nodes"

QUICK = {"WAN27_POLLING_FIRST_SECONDS": "0.1", "WAN27_POLLING_LONGEST_SECONDS": "0.3"}
"""Fast polling: the sandbox finishes a task in less than a second, the real service in minutes."""
PLENTY = {"WAN27_BUDGET_PER_RUN_USD": "1000", "WAN27_BUDGET_PER_DAY_USD": "100000"}

ComfyFactory = Callable[..., ComfyUI]


def connected(service: Service) -> dict[str, str]:
    """Return the environment for a ComfyUI that takes `service` for the paid one, and stores its uploads there."""
    return {
        "WAN27_CONNECTION": "novita",
        "WAN27_NOVITA_BASE_URL": service.url,
        "NOVITA_API_KEY": KEY,
        "WAN27_STORAGE_KIND": "sandbox",
        **QUICK,
        **PLENTY,
    }


@pytest.fixture(scope="session")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def service(shared_service: Service) -> Iterator[Service]:
    """The service behind `comfy`, with an empty log and no faults."""
    shared_service.reset()
    yield shared_service
    shared_service.reset()


@pytest.fixture(scope="session")
def shared_comfy(tmp_path_factory: pytest.TempPathFactory, shared_service: Service) -> Iterator[ComfyUI]:
    base = tmp_path_factory.mktemp("comfyui")
    with ComfyUI(base, env=connected(shared_service), custom_nodes=[HELPERS]) as comfy:
        yield comfy


@pytest.fixture
def comfy(shared_comfy: ComfyUI) -> ComfyUI:
    """The ComfyUI that most tests share: starting one takes longer than most tests do."""
    return shared_comfy


@pytest.fixture
def start_comfy(tmp_path: Path) -> Iterator[ComfyFactory]:
    """Start a ComfyUI for this test alone: `start_comfy(env={…}, frontend=…)`."""
    started: list[ComfyUI] = []

    def start(name: str = "comfyui", **arguments: Any) -> ComfyUI:
        comfy = ComfyUI(tmp_path / name, custom_nodes=[HELPERS], **arguments)
        started.append(comfy)
        return comfy.start()

    yield start
    for comfy in started:
        comfy.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of ComfyUI's log if a test fails."""
    report = yield
    if report.when == "call" and report.failed:
        for comfy in {value for value in getattr(item, "funcargs", {}).values() if isinstance(value, ComfyUI)}:
            report.sections.append(("end of ComfyUI's log", comfy.log[-6000:]))
    return report
