"""What every test folder shares: markers by folder, groups for running side by side, and measured figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import pytest

from tests import no_network  # noqa: F401  (takes effect when it is imported)

LONGEST = ("browser", "comfyui", "money", "storage in comfyui")
"""The groups that start first when workers share the tests; a worker runs a group from start to end."""

Measured = Callable[[str], None]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if (folder := _path(item.nodeid).parts[0]) in {"comfyui", "browser"}:
            item.add_marker(getattr(pytest.mark, folder))
    if hasattr(config, "workerinput"):  # one of pytest-xdist's workers
        rank = {group: number for number, group in enumerate(LONGEST)}
        items.sort(key=lambda item: rank.get(_group(item.nodeid), len(rank)))
    else:
        # While it drives a browser, Playwright runs an event loop in the main thread, and no second one can run there.
        items.sort(key=lambda item: _path(item.nodeid).parts[0] == "browser")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Hand out whole groups, in the order of collection."""
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


def _path(nodeid: str) -> PurePosixPath:
    """Return the path of a test's file below tests/."""
    return PurePosixPath(nodeid.partition("::")[0]).relative_to("tests")


def _group(nodeid: str) -> str:
    """Return which tests one worker runs: they share a ComfyUI, or whatever their module sets up."""
    path = _path(nodeid)
    if path.parts[0] == "comfyui":
        return {"test_money": "money", "test_storage": "storage in comfyui"}.get(path.stem, "comfyui")
    return "browser" if path.parts[0] == "browser" else str(path)


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
