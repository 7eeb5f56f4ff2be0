"""What every test folder shares: a test in comfyui/ or browser/ is marked by where it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in {"comfyui", "browser"}:
            item.add_marker(getattr(pytest.mark, folder))
