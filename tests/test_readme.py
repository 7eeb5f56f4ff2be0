"""The README's commands, settings, links and names. Cheap commands run here; for the others, the test is named."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes.config import load_settings
from nodes.config.settings import CONNECTIONS
from nodes.core.hosts import HOSTS

REPO = Path(__file__).resolve().parents[1]
README = (REPO / "README.md").read_text(encoding="utf-8")
MAKE_TARGETS = ("demo", "test", "lint", "soak", "bench", "start", "compat", "windows", "help")

RUN_ELSEWHERE = {
    # The registry does not know the pack yet; these tests pack and install the zip that it would deliver.
    "comfy node install wan27-video": "tests/registry",
}
"""Commands that are not run here, and the tests that run them."""


def fenced(language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> Iterator[str]:
    for block in fenced("sh"):
        for line in block.splitlines():
            command = re.sub(r"\s+#.*$", "", line).strip()
            if command:
                yield command


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_readme_code_blocks_name_their_language() -> None:
    languages = re.findall(r"^ *```(\w*)\n(?:.*\n)*?^ *```$", README, flags=re.MULTILINE)
    assert set(languages) <= {"sh", "toml", "text"}


def test_readme_commands_are_all_run_by_a_test() -> None:
    known = {*RUN_ELSEWHERE, CLONE, INSTALL, CHECK, SANDBOX, *(f"make {target}" for target in MAKE_TARGETS)}
    assert [command for command in commands() if command not in known] == []


CLONE = "git clone REPOSITORY custom_nodes/wan27-video"
INSTALL = "python -m pip install -r custom_nodes/wan27-video/requirements.txt"
CHECK = "python nodes/check.py"
SANDBOX = "python nodes/sandbox --port 8700 --state-dir sandbox-state"


@pytest.mark.skipif(not shutil.which("git") or not (REPO / ".git").exists(), reason="not a git checkout")
def test_readme_commands_install_from_git_and_check(tmp_path: Path) -> None:
    assert {CLONE, INSTALL, CHECK} <= set(commands())
    (tmp_path / "custom_nodes").mkdir()
    cloned = run(shlex.split(CLONE.replace("REPOSITORY", shlex.quote(str(REPO)))), tmp_path)
    assert cloned.returncode == 0, cloned.stderr
    # Without an index: this fails unless everything in the list is installed already.
    pip = run([sys.executable, *shlex.split(INSTALL)[1:], "--no-index"], tmp_path)
    assert pip.returncode == 0, pip.stdout + pip.stderr
    user = tmp_path / "user" / "__wan27"
    user.mkdir(parents=True)
    (user / "config.toml").write_text('connection = "sandbox"\n')
    checked = run([sys.executable, *shlex.split(CHECK)[1:]], tmp_path / "custom_nodes" / "wan27-video")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "sandbox" in checked.stdout.lower()


def test_readme_command_starts_the_sandbox(tmp_path: Path) -> None:
    arguments = [sys.executable, *shlex.split(SANDBOX)[1:]]
    arguments[arguments.index("8700")] = "0"  # that port may be in use on this machine
    arguments[-1] = str(tmp_path / arguments[-1])
    with subprocess.Popen(arguments, cwd=REPO, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline().startswith("http://127.0.0.1:")
        finally:
            process.terminate()
        assert process.wait(timeout=60) == (1 if sys.platform == "win32" else 0)  # Windows ends it at once


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
def test_readme_make_targets_exist() -> None:
    targets = [command for command in commands() if command.startswith("make ")]
    assert {"make demo", "make test", "make soak", "make bench", "make start"} <= set(targets)
    for command in targets:
        dry = run([*command.split(), "--dry-run"], REPO)
        assert dry.returncode == 0, dry.stderr


@pytest.mark.parametrize("block", fenced("toml"))
def test_readme_settings_are_all_read(block: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(block, encoding="utf-8")
    assert load_settings(tmp_path, {}).warnings == ()


def test_readme_settings_show_the_defaults(tmp_path: Path) -> None:
    (block,) = [block for block in fenced("toml") if "[polling]" in block]
    (tmp_path / "config.toml").write_text(block, encoding="utf-8")
    (tmp_path / "other").mkdir()
    shown, default = load_settings(tmp_path, {}), load_settings(tmp_path / "other", {})
    assert (shown.connection, shown.hosts, shown.polling, shown.budget) == (
        default.connection,
        default.hosts,
        default.polling,
        default.budget,
    )


def test_readme_hosts_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| \[(.+?)\]\((.+?)\).*? \| `(\w+)` \| `(\w+)` \| ([\d.]+) / ([\d.]+)", README, re.MULTILINE)
    assert rows == [
        (host.title, host.key_page, host.name, host.key_variable, *(f"{price:.2f}" for price in host.prices.values()))
        for host in HOSTS.values()
    ]
    (settings,) = [block for block in fenced("toml") if "[polling]" in block]
    assert f"# {' | '.join(CONNECTIONS)}\n" in settings


def test_readme_links_and_images_exist() -> None:
    headings = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", README, flags=re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith("https://"):
            assert (REPO / target).exists(), target


def test_readme_names_every_template_blueprint_and_node() -> None:
    for workflow in (REPO / "example_workflows").glob("*.json"):
        assert f"| {workflow.stem} |" in README
    for blueprint in (REPO / "subgraphs").glob("*.json"):
        assert f"**{blueprint.stem}**" in README or f"**{blueprint.stem.removeprefix('Wan 2.7 ')}**" in README
    nodes = json.loads((REPO / "tests" / "comfyui" / "object_info.json").read_text())
    for node in nodes.values():
        assert f"**{node['display_name']}**" in README
