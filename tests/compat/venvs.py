"""A venv for each Python with the lowest packages and one with the newest; both share a venv with torch below them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.host.cache import Cache, SetupError

from . import pins

SHOWN = ("torch", *pins.lowest(""))
"""The columns of the table."""


def find_python(version: str) -> str | None:
    """Return `python3.X` of this machine: the one that runs this, the one on PATH, or the newest of pyenv."""
    candidates = [sys.executable] if version == "{}.{}".format(*sys.version_info[:2]) else []
    candidates += [found for found in [shutil.which(f"python{version}")] if found]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    named = sorted(pyenv.glob(f"{version}.*"), key=lambda folder: [int(n) for n in re.findall(r"\d+", folder.name)])
    candidates += [str(folder / "bin" / "python") for folder in reversed(named)]
    # pyenv also has shims for versions that are not enabled; those fail.
    return next((python for python in candidates if _answers(python, version)), None)


def _answers(python: str, version: str) -> bool:
    code = "import sys, ensurepip; print('{}.{}'.format(*sys.version_info[:2]))"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def ensure(cache: Cache, python: str, version: str, end: str, *, torch: bool) -> Path:
    """Return the venv of one run; `newest` is built again when there is something newer.

    Raises:
        SetupError: it cannot be built.
    """
    below = _below(cache, python, version, torch=torch)
    chosen = pins.lowest(version) if end == "lowest" else _newest(below)
    wanted = [f"{name}=={number}" for name, number in chosen.items()]
    recipe = {"below": below.name, "packages": wanted, "tools": pins.TOOLS}

    def build(folder: Path) -> None:
        cache.run([python, "-m", "venv", folder])
        (site_packages,) = folder.glob("lib/python*/site-packages")
        (packages_below,) = below.glob("lib/python*/site-packages")
        (site_packages / "below.pth").write_text(f"{packages_below}\n")
        pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install", "--only-binary", ":all:"]
        cache.run([*pip, *wanted, *pins.TOOLS])

    return cache.ensure(f"compat-{version}-{end}", recipe, f"Python {version} with the {end} packages", build)


def _below(cache: Cache, python: str, version: str, *, torch: bool) -> Path:
    recipe = [python, pins.TORCH if torch else ""]

    def build(folder: Path) -> None:
        cache.run([python, "-m", "venv", folder])
        pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install"]
        cache.run([*pip, "--upgrade", "pip"])
        if torch:
            cache.run([*pip, "--only-binary", ":all:", pins.TORCH])

    what = f"torch for Python {version} (up to 5 GB)" if torch else f"Python {version}"
    return cache.ensure(f"compat-{version}-below", recipe, what, build)


def _newest(venv: Path) -> dict[str, str]:
    """Return what pip would install today; this asks the package index."""
    command = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    command += ["--only-binary", ":all:", "--report", "-", "-r", pins.REPO / "requirements.txt"]
    command += pins.ALSO_LOWEST
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"`{' '.join(words)}` ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found = {
        item["metadata"]["name"].lower(): item["metadata"]["version"] for item in json.loads(done.stdout)["install"]
    }
    return {name: found[name] for name in pins.lowest("")}


def install_here(*, torch: bool) -> None:
    """Install what the unit tests need into the Python that runs this."""
    packages = [*pins.TOOLS, *pins.ALSO_LOWEST, *([pins.TORCH] if torch else []), "-r", pins.REPO / "requirements.txt"]
    subprocess.run([sys.executable, "-m", "pip", "install", *packages], check=True)


def versions(python: str) -> dict[str, str]:
    """Return the versions that `python` really imports, for the table."""
    code = """
import importlib.metadata as m, json, sys
def version(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return "-"
print(json.dumps({name: version(name) for name in sys.argv[1:]}))"""
    words = [python, "-c", code, *SHOWN]
    found: dict[str, str] = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return found
