"""What every test folder shares: a test in comfyui/ or browser/ is marked by where it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _folder(item) in {"comfyui", "browser"}:
            item.add_marker(getattr(pytest.mark, _folder(item)))
    # While it drives a browser, Playwright runs an event loop in the main thread, and nobody else can run one there.
    items.sort(key=lambda item: _folder(item) == "browser")


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]
