"""comfy-cli itself, as the publishing workflow runs it, on a copy of the checkout and without network.

`comfy node publish`, which comes last, is not run here: it needs the registry and a publisher's token.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.host import comfy_cli
from tests.registry.scan import report, scan
from tests.registry.shipped import copy, shipped

REPO = Path(__file__).resolve().parents[2]
MOST_BYTES = 5_000_000


@pytest.mark.parametrize("git", [True, False], ids=["with git", "without git"])
def test_zip_holds_the_shipped_files_and_no_others(tmp_path: Path, git: bool) -> None:
    folder = copy(REPO, tmp_path / "copy", git=git)
    done = comfy_cli.run("node", "pack", cwd=folder, home=tmp_path / "home")
    assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(folder / "node.zip") as packed:
        assert sorted(packed.namelist()) == shipped(REPO)
        packed.extractall(tmp_path / "unpacked")
    assert (folder / "node.zip").stat().st_size < MOST_BYTES
    findings = scan(tmp_path / "unpacked", shipped(REPO))
    assert not findings, report(findings)


def test_validate_finds_nothing(tmp_path: Path) -> None:
    folder = copy(REPO, tmp_path / "copy", git=True)
    done = comfy_cli.run("node", "validate", cwd=folder, home=tmp_path / "home")
    assert done.returncode == 0, done.stdout
    assert "All validation checks passed" in done.stdout
    assert "arning" not in done.stdout


@pytest.mark.parametrize("line", ["eval(text)", "exec(text)", "a = 1; b = 2"])
def test_validate_looks_into_the_files(tmp_path: Path, line: str) -> None:
    folder = copy(REPO, tmp_path / "copy", git=True)
    (folder / "nodes" / "put_back.py").write_text(f"text = '1'\n{line}\n")
    done = comfy_cli.run("node", "validate", cwd=folder, home=tmp_path / "home")
    assert "Security warnings found" in done.stdout
    assert "put_back.py" in done.stdout


def test_validate_refuses_a_description_without_a_version(tmp_path: Path) -> None:
    folder = copy(REPO, tmp_path / "copy", git=False)
    file = folder / "pyproject.toml"
    file.write_text("".join(line for line in file.read_text().splitlines(True) if not line.startswith("version = ")))
    done = comfy_cli.run("node", "validate", cwd=folder, home=tmp_path / "home")
    assert (done.returncode, "version is empty" in done.stdout) == (1, True), done.stdout
