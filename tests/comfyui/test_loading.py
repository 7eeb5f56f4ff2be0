"""What the pack costs when it is installed, whether it is used or not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.comfyui import example, snapshot
from tests.comfyui.graphs import SMALL, decode, pair, upload_image
from tests.conftest import Measured
from tests.host.comfy import PACK, REPO, ComfyUI, Graph, RejectedError, comfyui_tree
from tests.host.fixtures import HELPERS
from tests.media_files import photo, png
from tests.service import Service


def test_pack_loads(comfy: ComfyUI, measured: Measured) -> None:
    found = re.search(rf"^(?:\[INFO\])? *([0-9.]+) seconds(.*): .*/{re.escape(PACK)}$", comfy.log, re.MULTILINE)
    assert found, "ComfyUI printed no import time"
    measured(f"import time of the pack as ComfyUI prints it: {found[1]} s")
    assert found[2] == "", "IMPORT FAILED"


def test_pack_loads_without_a_warning(comfy: ComfyUI) -> None:
    assert "warnings are kept" in [line["message"] for line in comfy.warnings_at_start]
    ours = [
        line
        for line in comfy.warnings_at_start
        if re.search(r"wan ?2\.?7", line["message"], re.IGNORECASE) or f"custom_nodes/{PACK}/" in line["file"]
    ]
    assert ours == []


def test_second_copy_of_the_pack_says_so_and_leaves_the_first_alone(tmp_path: Path) -> None:
    copy = tmp_path / "zz-wan27-copy"
    copy.symlink_to(REPO, target_is_directory=True)
    with ComfyUI(tmp_path / "comfyui", custom_nodes=[HELPERS, copy]) as comfy:
        (warning,) = [line["message"] for line in comfy.warnings_at_start if "installed twice" in line["message"]]
        assert f"custom_nodes/{PACK}" in warning and f"custom_nodes/{copy.name}" in warning
        scripts = [name for name in comfy.get_json("/extensions") if name.endswith("/wan27.js")]
        assert len(scripts) == 1 and comfy.request("GET", scripts[0]).status_code == 200
        assert comfy.get_json("/wan27/status")["problem"] is None
        assert "Wan27ImageToVideo" in comfy.get_json("/object_info/Wan27ImageToVideo")


def test_pack_reaches_the_browser_from_a_folder_of_any_name(tmp_path: Path) -> None:
    odd = tmp_path / "Wan 2.7 (山田)"
    odd.symlink_to(REPO, target_is_directory=True)
    with ComfyUI(tmp_path / "comfyui", pack=HELPERS, custom_nodes=[odd]) as comfy:
        (script,) = [name for name in comfy.get_json("/extensions") if name.endswith("/wan27.js")]
        assert comfy.request("GET", script).status_code == 200
        assert "Wan27ImageToVideo" in comfy.get_json("/object_info/Wan27ImageToVideo")
        assert comfy.get_json(f"/wan27/examples/{example.WORKFLOW.stem}")["nodes"]


def test_pack_without_a_package_says_in_log_tab_and_run_how_to_install_it(tmp_path: Path) -> None:
    without = tmp_path / "without-httpx"
    without.mkdir()
    (without / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    (without / "prestartup_script.py").write_text("import sys\n\nsys.modules['httpx'] = None\n")
    command = " -s -m pip install -r "
    with ComfyUI(tmp_path / "comfyui", custom_nodes=[HELPERS, without]) as comfy:
        assert command in comfy.log
        problem = comfy.get_json("/wan27/status")["problem"]
        assert "httpx is not installed" in problem and command not in problem

        graph = Graph()
        upload_image(graph, comfy.upload("a.png", png(photo(320, 320, seed=1))))
        graph.add("PreviewAny", source=("2", 0))
        error = comfy.run(graph).error
        assert error is not None and command in error.message

        paying = Graph()
        node = pair(paying, image_url="https://x.test/a.png", **SMALL).submit
        with pytest.raises(RejectedError) as refused:
            comfy.queue(paying)
        assert command in refused.value.texts(node)


@pytest.mark.parametrize("name", ["Wan 2.7 Video", PACK])
def test_second_copy_in_the_usual_folder_leaves_the_browser_part_of_the_first_alone(tmp_path: Path, name: str) -> None:
    first, second = tmp_path / name, tmp_path / "loaded later" / PACK
    second.parent.mkdir()
    for copy in (first, second):
        copy.symlink_to(REPO, target_is_directory=True)
    packs = {"pack": first, "custom_nodes": [HELPERS]} if name == PACK else {"pack": HELPERS, "custom_nodes": [first]}
    paths = tmp_path / "paths.yaml"
    paths.write_text(f"more:\n  base_path: {tmp_path}\n  custom_nodes: loaded later\n", encoding="utf-8")
    arguments = ["--extra-model-paths-config", str(paths)]
    with ComfyUI(tmp_path / "comfyui", arguments=arguments, **packs) as comfy:
        (warning,) = [line["message"] for line in comfy.warnings_at_start if "installed twice" in line["message"]]
        assert warning.index(f"custom_nodes/{name}") < warning.index(second.parent.name)
        (script,) = [name for name in comfy.get_json("/extensions") if name.endswith("/wan27.js")]
        assert comfy.request("GET", script).status_code == 200
        assert "Wan27ImageToVideo" in comfy.get_json("/object_info/Wan27ImageToVideo")


def test_pack_loads_in_a_process_without_a_server_and_imports_nothing_heavy(tmp_path: Path) -> None:
    program = """
import asyncio, sys, threading
pack = sys.argv.pop()
import comfy.options
comfy.options.enable_args_parsing()
import utils.extra_config  # before nodes, which puts another utils on the path
import server, nodes, comfy_api.latest
heavy = {"PIL", "av", "httpx", "numpy", "obstore", "torch"}
for name in [name for name in sys.modules if name.partition(".")[0] in heavy]:
    del sys.modules[name]  # ComfyUI has loaded it, which would hide that the pack does
loaded = asyncio.run(nodes.load_custom_node(pack))
print(loaded, hasattr(server.PromptServer, "instance"), *sorted(n for n in nodes.NODE_CLASS_MAPPINGS if "Wan27" in n))
print(*[thread.name for thread in threading.enumerate() if thread.name.startswith("wan27")])
print(*sorted(heavy & set(sys.modules)))
"""
    arguments = [f"--base-directory={tmp_path}", "--cpu", str(REPO)]
    environ = {**os.environ, "PYTHONPATH": str(comfyui_tree())}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [f"True False {' '.join(sorted(snapshot.NODES))}", "", ""], done.stderr


def test_modules_are_loaded_once(comfy: ComfyUI, service: Service) -> None:
    graph = Graph()
    image = upload_image(graph, comfy.upload("modules.png", png(photo(320, 320, seed=12))))
    made = pair(graph, image_url=(image, 0), seed=41, **SMALL)
    decode(graph, (made.wait, 0))
    comfy.run(graph).outputs  # noqa: B018  (raises if it failed) everything is loaded by now

    asking = Graph()
    node = asking.add("TestLoadedFiles", folder=str(REPO / "nodes"))
    (files,) = comfy.run(asking).outputs[node]["files"]

    assert {
        f"{REPO}/nodes/image_to_video.py",
        f"{REPO}/nodes/wait_for_video.py",
        f"{REPO}/nodes/media/decode/decode.py",
    } <= set(files)
    assert {file: names for file, names in files.items() if len(names) > 1} == {}


def test_templates_contain_the_example(comfy: ComfyUI) -> None:
    templates = comfy.get_json("/api/workflow_templates")[PACK]
    assert example.WORKFLOW.stem in templates
    for name in templates:
        for ending in ("json", "jpg"):
            answer = comfy.request("GET", f"/api/workflow_templates/{PACK}/{name}.{ending}")
            assert answer.status_code == 200, f"{name}.{ending}"
