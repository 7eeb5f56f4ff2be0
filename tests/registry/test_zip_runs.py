"""The registry's zip, unpacked into a ComfyUI that has nothing else, does the same as the checkout."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests import demo
from tests.host import comfy_cli
from tests.host.comfy import PACK, ComfyUI
from tests.registry.shipped import copy

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked zip in `custom_nodes` of a ComfyUI whose folder has a name that some people's have."""
    folder = copy(REPO, tmp_path_factory.mktemp("packing") / "copy", git=True)
    done = comfy_cli.run("node", "pack", cwd=folder, home=tmp_path_factory.mktemp("home"))
    assert done.returncode == 0, done.stdout
    pack = tmp_path_factory.mktemp("installed") / "My ComfyUI (Jürgen Łukasz 山田 & co)" / "custom_nodes" / PACK
    with zipfile.ZipFile(folder / "node.zip") as packed:
        packed.extractall(pack)
    return pack


@pytest.mark.comfyui
def test_zip_alone_runs_the_demo_in_a_folder_with_spaces_and_other_scripts(installed: Path) -> None:
    with ComfyUI(installed.parents[1]) as comfy:
        assert demo.run_in(comfy) == []
        nodes = comfy.get_json("/object_info")
        extensions = comfy.get_json("/extensions")
        templates = comfy.get_json("/workflow_templates")
        log = comfy.log
    ours = {name for name, info in nodes.items() if info["python_module"] == f"custom_nodes.{PACK}"}
    assert ours == {name for name in nodes if name.startswith("Wan27")}
    assert len(ours) >= 6
    assert f"(IMPORT FAILED): {comfy.base / 'custom_nodes' / PACK}" not in log
    assert str(REPO / "nodes") not in log
    scripts = {path.relative_to(installed / "web").as_posix() for path in (installed / "web").rglob("*.js")}
    assert {name.removeprefix(f"/extensions/{PACK}/") for name in extensions if PACK in name} == scripts
    assert sorted(templates[PACK]) == sorted(path.stem for path in (installed / "example_workflows").glob("*.json"))
    # It wrote everything into the base directory, except Python's own bytecode.
    with_bytecode = {path.suffix for path in installed.rglob("*") if path.is_file() and "__pycache__" in path.parts}
    assert with_bytecode <= {".pyc"}
