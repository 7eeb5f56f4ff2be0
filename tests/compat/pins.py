"""What the unit tests are run with. A changed line here is a new venv beside the old one."""

from __future__ import annotations

from pathlib import Path

REPO = Path(__file__).resolve().parents[2]

NEEDS_COMFYUI = ("comfyui", "browser", "registry", "bench", "compat", "web", "windows")
NEEDS_TORCH = ("media", "panel/test_thumbnails.py", "test_same_request.py")
"""What is not run, relative to tests/: at all (ComfyUI, a browser or other tools are needed), and without torch."""

PYTHONS = ("3.10", "3.11", "3.12", "3.13")

TORCH = "torch==2.13.0"
"""ComfyUI requires torch, not the pack. One version for all, so that it is not the cause of differences. pip takes a
CPU build if it is configured to find one; the package index has CUDA builds, about 5 GB each."""

ALSO_LOWEST = {"obstore": "0.6.0", "aiohttp": "3.11.8"}
"""Not in requirements.txt: the extra s3, and what ComfyUI 0.3.75 installs, each with its lower bound."""
LOWEST_WHEEL = {
    "3.13": {"numpy": "2.1.0", "pillow": "10.4.0"},
    # Not in PYTHONS, as ComfyUI has not been tried with it. `make compat COMPAT=3.14` runs the unit tests.
    "3.14": {"av": "15.1.0", "numpy": "2.3.2", "pillow": "11.3.0", "obstore": "0.8.2", "aiohttp": "3.13.0"},
}
"""The first release with a wheel for a Python, if the lower bound of requirements.txt has none."""

TOOLS = (
    "pytest>=8.3",
    "pytest-timeout>=2.3",
    "hypothesis>=6.100",
    "websocket-client>=1.8",
    "psutil>=5.9",  # ComfyUI installs it
    "tomli>=2.0; python_version < '3.11'",
)


def lowest(python: str) -> dict[str, str]:
    """Return the oldest releases that requirements.txt allows, by name."""
    lines = (REPO / "requirements.txt").read_text().split()
    bounds = dict(line.split(">=") for line in lines)
    return {**bounds, **ALSO_LOWEST, **LOWEST_WHEEL.get(python, {})}
