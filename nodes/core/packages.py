"""Checks that the packages are installed that ComfyUI does not bring."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from .errors import SettingsError

_NAMES = ("httpx", "av")
"""Of requirements.txt, without those that every ComfyUI needs itself. They are imported where they are first used, so
without this check their absence would show only there."""


class MissingPackagesError(SettingsError):
    """Packages are not installed. The text has the command that installs them; `public` has no path of this machine."""

    def __init__(self, names: list[str]) -> None:
        missing = f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not installed."
        requirements = Path(__file__).absolute().parents[2] / "requirements.txt"
        command = f"{_quoted(sys.executable)} -s -m pip install -r {_quoted(str(requirements))}"
        super().__init__(f"{missing} Run this command and restart ComfyUI: {command}")
        self.public = f"{missing} Install the pack's requirements.txt with ComfyUI's Python and restart."


def require_packages() -> None:
    """Raise MissingPackagesError if a package is not installed. Imports none of them, as that takes long."""
    if missing := [name for name in _NAMES if find_spec(name) is None]:
        raise MissingPackagesError(missing)


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path
