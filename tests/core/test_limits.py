from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from nodes.core.limits import ImageBounds, within_aspect


@pytest.mark.parametrize(
    ("width", "height", "inside"),
    [(1920, 240, True), (240, 1920, True), (1921, 240, False), (240, 1921, False), (8000, 1000, True), (1, 1, True)],
)
def test_within_aspect_is_exact_in_both_directions(width: int, height: int, inside: bool) -> None:
    assert within_aspect(width, height, 8.0) is inside


def test_bounds_are_immutable() -> None:
    bounds = ImageBounds(min_side=240, max_side=8000, max_aspect=8.0, max_bytes=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        bounds.max_side = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "module",
    [
        "core.limits",
        "core.addresses",
        "core.redaction",
        "config.settings",
        "media.files",
        "media.image.encode",
        "media.audio.encode",
        "media.clip.encode",
    ],
)
def test_importing_a_module_loads_nothing_heavy(module: str) -> None:
    program = f"import nodes.{module}, sys; print({{'torch', 'av', 'PIL', 'httpx'}} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
