"""comfy-cli, which packs the pack for the registry, in a venv of its own because it needs many packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .cache import Cache, cache_root

COMFY_CLI = ("comfy-cli==1.23.0",)
"""Newer releases may pack by other rules; tests/registry would show it."""


def ensure() -> Path:
    """Return the program `comfy`, built on the first call (about 25 s).

    Raises:
        SetupError: it cannot be built.
    """
    cache = Cache(cache_root())
    recipe = {"packages": COMFY_CLI, "python": [*sys.version_info[:2], sys.base_prefix]}

    def build(folder: Path) -> None:
        cache.run(
            [sys.executable, "-m", "venv", folder],
            hint="On Debian and Ubuntu the module is a separate package: apt-get install python3-venv.",
        )
        cache.run([folder / "bin" / "python", "-m", "pip", "install", *COMFY_CLI])

    return (
        cache.ensure("comfy-cli", recipe, "comfy-cli, for the tests of what the registry gets", build) / "bin" / "comfy"
    )


def run(*words: str, cwd: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run `comfy WORDS` without questions, telemetry or network: its proxy is a port on which nothing listens."""
    nowhere = "http://127.0.0.1:9"
    env = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "COLUMNS": "200", "NO_COLOR": "1"}
    env |= {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_CACHE_HOME": str(home / "cache")}
    env |= {"DO_NOT_TRACK": "1", "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "ALL_PROXY": nowhere}
    return subprocess.run(
        [str(ensure()), "--skip-prompt", "--no-enable-telemetry", *words],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
