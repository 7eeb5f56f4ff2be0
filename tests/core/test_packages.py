from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nodes.core.packages import MissingPackagesError, require_packages


def test_require_packages_accepts_what_is_installed() -> None:
    require_packages()


def test_require_packages_names_all_that_is_missing_and_quotes_a_path_with_spaces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("httpx", "av"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(sys, "executable", r"C:\My ComfyUI\python_embeded\python.exe")
    with pytest.raises(MissingPackagesError) as missing:
        require_packages()
    assert str(missing.value).startswith("httpx and av are not installed. ")
    assert r'"C:\My ComfyUI\python_embeded\python.exe" -s -m pip install -r ' in str(missing.value)
    assert "My ComfyUI" not in missing.value.public and str(Path.cwd()) not in missing.value.public
