from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

from tests.registry.scan import SPELLINGS, report, scan
from tests.registry.shipped import checkout, copy, not_ignored, shipped

REPO = Path(__file__).resolve().parents[2]

PLACES = {
    "nodes/api/client.py": "# once was {}\n",
    "web/put_back.js": "// {}\n",
    "README.md": "Do not write {} here.\n",
    "example_workflows/put_back.json": '{{"notes": "{}"}}\n',
    "pyproject.toml": "# {}\n",
}
"""One file of each kind in the zip, and a line that is not code."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(REPO, tmp_path_factory.mktemp("checkout"), git=False)


def test_scan_finds_nothing_in_the_shipped_files() -> None:
    findings = scan(REPO, shipped(REPO))
    assert not findings, report(findings)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_scan_finds_a_spelling_put_back(tmp_path: Path, spelling: str) -> None:
    folder = copy(REPO, tmp_path / "checkout", git=False)
    lines = {}
    for place, line in PLACES.items():
        file = folder / place
        text = file.read_text() if file.exists() else ""
        file.write_text(text + line.format(spelling))
        lines[place] = text.count("\n") + 1
    findings = scan(folder, shipped(folder))
    assert {(finding.file, finding.line) for finding in findings if finding.spelling == spelling} == set(lines.items())
    for place, number in lines.items():
        assert f"{place}:{number}: `{spelling}`" in report(findings)


def test_scan_leaves_out_what_is_not_shipped(folder: Path) -> None:
    (folder / "tests" / "put_back.py").write_text("# eval(\n")
    assert not scan(folder, shipped(folder))
    assert "tests/put_back.py" not in shipped(folder)


@pytest.mark.parametrize("name", ["notes.txt", "plan.md", "scripts/tool.py", ".env", "key.pem", "nodes.py", "web.zip"])
def test_ignore_file_keeps_out_new_files_beside_the_pack(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("")
    assert name not in shipped(folder)


def test_ignore_file_means_the_same_to_every_reader() -> None:
    names = checkout(REPO)
    styles = {style: not_ignored(REPO, names, style=style) for style in ("gitwildmatch", "gitignore")}
    assert styles["gitwildmatch"] == styles["gitignore"] == shipped(REPO)


def test_shipped_files_are_all_the_pack_needs() -> None:
    names = shipped(REPO)
    tops = {name.split("/")[0] for name in names}
    assert tops >= {"__init__.py", "nodes", "web", "pyproject.toml", "requirements.txt", "README.md", "LICENSE"}
    parts = ("nodes", "web", "locales", "subgraphs", "example_workflows")
    here = {path.relative_to(REPO).as_posix() for part in parts for path in (REPO / part).rglob("*") if path.is_file()}
    missing = {name for name in here if "__pycache__" not in name and not name.startswith(".")} - set(names)
    assert not missing


def test_shipped_names_are_valid_on_every_system() -> None:
    names = shipped(REPO)
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names}) == len(names)
    parts = {part for name in names for part in name.split("/")}
    reserved = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
    assert [part for part in parts if reserved.fullmatch(part) or part.endswith((".", " "))] == []
    assert [part for part in parts if set(part) & set('<>:"\\|?*')] == []
