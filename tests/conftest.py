"""What every test folder shares: markers by folder, groups for running side by side, and measured figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent

LONGEST = ("browser", "comfyui", "money", "storage in comfyui")
"""The groups that start first when workers share the tests; a worker runs a group from start to end."""

Measured = Callable[[str], None]


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _folder(item) in {"comfyui", "browser"}:
            item.add_marker(getattr(pytest.mark, _folder(item)))
    if hasattr(config, "workerinput"):  # one of pytest-xdist's workers
        for item in items:
            item.add_marker(pytest.mark.xdist_group(_group(item)))
        rank = {group: number for number, group in enumerate(LONGEST)}
        items.sort(key=lambda item: rank.get(_group(item), len(rank)))
    else:
        # While it drives a browser, Playwright runs an event loop in the main thread, where only one can run.
        items.sort(key=lambda item: _folder(item) == "browser")


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]


def _group(item: pytest.Item) -> str:
    """Return the tests that one worker runs: they share a ComfyUI, or whatever their module sets up."""
    if _folder(item) == "comfyui":
        return {"test_money": "money", "test_storage": "storage in comfyui"}.get(item.path.stem, "comfyui")
    return "browser" if _folder(item) == "browser" else str(item.path.relative_to(TESTS))


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Report a figure that was measured; all of them are printed at the end of the run."""
    return lambda text: request.node.user_properties.append(("measured", text))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, ())]
    texts = [text for report in reports for name, text in getattr(report, "user_properties", ()) if name == "measured"]
    if texts:
        terminalreporter.section("measured")
        for text in dict.fromkeys(texts):
            terminalreporter.line(str(text))
