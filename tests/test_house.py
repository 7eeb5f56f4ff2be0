"""Imports run downward only, and nothing below nodes/*.py knows ComfyUI; the files are read, nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

NODES = Path(__file__).resolve().parents[1] / "nodes"

#: What each folder may import of the pack, itself apart.
BELOW = {
    "core": set[str](),
    "config": {"core"},
    "media": {"core"},
    "api": {"core"},
    "ledger": {"core", "config"},
    "sandbox": {"core"},
    "storage": {"core", "config", "ledger", "media"},
    "runner": {"core", "config", "ledger", "media", "api", "storage"},
    "comfy": {"core", "config", "ledger", "media", "api", "storage", "runner"},
    "panel": {"core", "config", "ledger", "media", "api", "storage", "runner", "comfy", "services"},
}
MAY_KNOW_COMFYUI = {"comfy", "panel"}
HOST = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "server", "execution", "nodes"}


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """(dots, module) of each import in a file."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((node.level, name) for name in names)
        elif isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)


@pytest.mark.parametrize("folder", BELOW)
def test_imports_run_downward(folder: str) -> None:
    files = list((NODES / folder).rglob("*.py"))
    assert files
    for file in files:
        depth = len(file.relative_to(NODES).parts)
        for level, name in imports(file):
            if folder not in MAY_KNOW_COMFYUI:
                assert level or name.split(".")[0] not in HOST, f"{file.name} imports {name}"
            if level == depth:  # as many dots as lead to nodes/
                assert name.split(".")[0] in BELOW[folder] | {folder}, f"{folder}/{file.name} imports {name}"
            assert level <= depth, f"{folder}/{file.name} reaches out of nodes/"


def test_inside_the_pack_imports_are_relative() -> None:
    """ComfyUI loads it under a name of its own making."""
    for file in NODES.rglob("*.py"):
        for level, name in imports(file):
            assert level or name.split(".")[0] != "nodes", f"{file.relative_to(NODES)} imports {name}"


def test_the_folders_are_these() -> None:
    assert {path.parent.name for path in NODES.glob("*/__init__.py")} == set(BELOW)
