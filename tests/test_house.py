"""Imports run downward only and without cycles, and only the layers at the top know ComfyUI; nothing is imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.__main__ import main
from tests.house.imports import House, cycles, imports_in
from tests.house.layers import BELOW, COMFYUI, MAY_KNOW_COMFYUI, OWN_LAYER

HOUSE = House(Path(__file__).resolve().parents[1], OWN_LAYER)


def test_packages_are_those_that_have_a_layer() -> None:
    assert set(HOUSE.packages) == set(BELOW)


@pytest.mark.parametrize("package", BELOW)
def test_imports_run_downward(package: str) -> None:
    found = [found for found in HOUSE.upward(BELOW) if HOUSE.package(found.importer) == package]
    assert not found


def test_layers_have_an_order() -> None:
    assert cycles(BELOW) == []


def test_imports_contain_no_cycle() -> None:
    assert cycles(HOUSE.graph) == []


def test_imports_inside_the_pack_are_relative() -> None:
    """ComfyUI loads the pack under a name of its own making."""
    for name, file in HOUSE.files.items():
        for level, words, line in imports_in(file):
            assert level or words[0] != "nodes", f"{name}, line {line}"
            assert level <= len(file.relative_to(HOUSE.nodes).parts), f"{name}, line {line}: reaches out of nodes/"


def test_comfyui_is_known_to_the_layers_at_the_top_only() -> None:
    for name, file in HOUSE.files.items():
        if HOUSE.package(name) not in MAY_KNOW_COMFYUI:
            for level, words, line in imports_in(file):
                assert level or words[0] not in COMFYUI, f"{name}, line {line}: imports {words[0]}"


def test_house_reports_cycles_and_upward_imports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = tmp_path / "nodes"
    for name, text in {
        "upload.py": "from .core import limits",
        "core/__init__.py": '"""Leaves."""',
        "core/limits.py": "def late():\n    from . import errors",
        "core/errors.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .limits import LIMIT",
        "core/mp4.py": "def late():\n    from ..upload import Upload",
    }.items():
        (nodes / name).parent.mkdir(parents=True, exist_ok=True)
        (nodes / name).write_text(text)

    assert main([str(tmp_path)]) == 1

    said = capsys.readouterr().out
    assert "2 packages, 4 modules, 9 lines" in said
    assert "2 arrows between packages, 2 cycles, 1 upward imports" in said
    assert "cycle: core.errors core.limits" in said
    assert "cycle: core nodes" in said
    assert "upward: core.mp4 imports upload (line 2)" in said


def test_house_lists_what_a_module_reaches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nodes").mkdir()
    for name, text in {"one": "from . import two", "two": "from .three import X", "three": "", "four": ""}.items():
        (tmp_path / "nodes" / f"{name}.py").write_text(text)

    assert main([str(tmp_path), "--reach", "one"]) == 0

    assert capsys.readouterr().out.splitlines() == ["one", "three", "two", "3 of 4 modules"]
