"""pyproject.toml follows the registry's specification; comfy-cli checks little of it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.registry.description import REPO, load, placeholders

PROJECT = load()["project"]
COMFY = load()["tool"]["comfy"]
MOST_PIXELS = (800, 400)
SYSTEMS = ("OS Independent", "Microsoft", "POSIX", "MacOS")


def test_name_is_one_the_registry_takes() -> None:
    name = PROJECT["name"]
    assert name == "wan27-video"  # the pack's address in the registry: it never changes
    assert len(name) < 100
    assert "comfyui" not in name.lower()
    assert re.fullmatch(r"[A-Za-z](?:[A-Za-z0-9]|[-_.](?![-_.]))*", name)


def test_version_has_three_numbers_and_a_place_in_the_changelog() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", PROJECT["version"])
    assert f"## {PROJECT['version']}" in (REPO / "CHANGELOG.md").read_text()


def test_licence_is_a_table_and_the_file_exists() -> None:
    assert PROJECT["license"] == {"text": "MIT"}
    assert (REPO / "LICENSE").read_text().startswith("MIT License")


def test_description_is_filled_in() -> None:
    assert 20 < len(PROJECT["description"]) < 200
    assert COMFY["DisplayName"] == "Wan 2.7 Video"
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", COMFY["PublisherId"])
    assert re.fullmatch(r">=\d+\.\d+\.\d+", COMFY["requires-comfyui"])
    assert {"Repository", "Documentation", "Issues"} <= set(PROJECT["urls"])
    assert all(url.startswith("https://") for url in [*PROJECT["urls"].values(), COMFY["Icon"]])
    systems = [line.split(" :: ", 1)[1] for line in PROJECT["classifiers"] if line.startswith("Operating System :: ")]
    assert systems
    assert all(system.startswith(SYSTEMS) for system in systems)


def test_icon_is_the_file_in_the_repository() -> None:
    icon = REPO / ".github" / "icon.png"
    assert COMFY["Icon"].endswith("/" + icon.name)
    with Image.open(icon) as image:
        assert image.format == "PNG"
        assert image.width <= MOST_PIXELS[0]
        assert image.height <= MOST_PIXELS[1]


def test_description_tells_the_loader_nothing_twice() -> None:
    """ComfyUI reads WEB_DIRECTORY from `__init__.py`; [tool.comfy] web would serve the folder a second time."""
    assert "web" not in COMFY
    init = (REPO / "__init__.py").read_text()
    assert "NODE_CLASS_MAPPINGS" not in init
    assert 'WEB_DIRECTORY = "./web"' in init


def test_requirements_are_the_same_in_both_lists() -> None:
    lines = (REPO / "requirements.txt").read_text().split()
    assert sorted(lines) == sorted(PROJECT["dependencies"])


def test_pythons_that_are_named_are_tried() -> None:
    from tests.compat import pins

    named = [line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert tuple(named) == pins.PYTHONS
    assert PROJECT["requires-python"] == f">={pins.PYTHONS[0]}"


def test_placeholders_are_found_until_they_are_gone(tmp_path: Path) -> None:
    shutil.copy(REPO / "pyproject.toml", tmp_path)
    file = tmp_path / "pyproject.toml"
    text = re.sub(r'^PublisherId = ".*"$', 'PublisherId = "example-publisher"', file.read_text(), flags=re.M)
    file.write_text(text)
    assert "PublisherId = 'example-publisher'" in list(placeholders(tmp_path))
    file.write_text(text.replace("example-publisher", "a-studio").replace("example.com", "git.studio.test"))
    assert list(placeholders(tmp_path)) == []


@pytest.mark.parametrize("workflow", ["test.yml", "publish.yml"])
def test_workflows_are_yaml_with_steps(workflow: str) -> None:
    yaml = pytest.importorskip("yaml", reason="ComfyUI's requirements install it")
    document = yaml.safe_load((REPO / ".github" / "workflows" / workflow).read_text())
    assert document["name"]
    assert True in document  # YAML reads the key `on` as true
    for job in document["jobs"].values():
        assert job["runs-on"]
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])
        targets = re.findall(r"\bmake (\w+)", "\n".join(step.get("run", "") for step in job["steps"]))
        known = re.findall(r"^(\w+):", (REPO / "Makefile").read_text(), flags=re.M)
        assert set(targets) <= set(known)
