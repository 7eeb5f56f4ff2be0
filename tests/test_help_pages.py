"""The help pages agree with the nodes and the limits: every input, output, option, range and error text."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nodes.core import limits

REPO = Path(__file__).resolve().parents[1]
NODES: dict[str, Any] = json.loads((REPO / "tests" / "comfyui" / "object_info.json").read_text())
DOCS = REPO / "web" / "docs"
LANGUAGES = ("en", "zh")
PAGES = [(node, language) for node in NODES for language in LANGUAGES]

_MB = limits.MB
LIMITS: dict[tuple[str, str], list[Any]] = {
    ("Wan27UploadImage", "image"): [
        limits.IMAGE.min_side,
        limits.IMAGE.max_side,
        f"{limits.IMAGE.max_aspect:g}:1",
        f"{limits.IMAGE.max_bytes // _MB} MB",
    ],
    ("Wan27UploadAudio", "audio"): [
        f"{limits.AUDIO.min_seconds:g}",
        f"{limits.AUDIO.max_seconds:g}",
        f"{limits.AUDIO.max_bytes // _MB} MB",
    ],
    ("Wan27UploadVideo", "video"): [
        f"{limits.CLIP.min_seconds:g}",
        f"{limits.CLIP.max_seconds:g}",
        limits.CLIP.min_side,
        limits.CLIP.max_side,
        f"{limits.CLIP.max_aspect:g}:1",
        f"{limits.CLIP.max_bytes // _MB} MB",
    ],
    ("Wan27ImageToVideo", "prompt"): [limits.PROMPT_CHARS],
    ("Wan27ImageToVideo", "negative_prompt"): [limits.NEGATIVE_PROMPT_CHARS],
}
"""Values that a row must contain in addition to the min and max of its widget."""


def inputs(node: str) -> list[dict[str, Any]]:
    return [each for each in NODES[node]["inputs"] if each["kind"] != "hidden"]


def page(node: str, language: str) -> str:
    return (DOCS / node / f"{language}.md").read_text(encoding="utf-8")


def rows(text: str, heading: int) -> dict[str, str]:
    """Return the rows of the table under the `heading`-th second-level heading, by their first cell."""
    section = re.split(r"^## .*$", text, flags=re.MULTILINE)[heading]
    found = {}
    for line in section.splitlines():
        if match := re.match(r"\| `(\w+)` \|(.*)\|$", line):
            found[match[1]] = match[2]
    return found


def says(row: str, value: Any) -> bool:
    """Return whether a row contains a figure or word that is not part of another one."""
    return re.search(rf"(?<![\w.]){re.escape(str(value))}(?![\d.]*\d)", row) is not None


def test_help_pages_exist_for_every_node_and_nothing_else() -> None:
    assert {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.*")} == {
        f"{node}/{language}.md" for node, language in PAGES
    }


@pytest.mark.parametrize(("node", "language"), PAGES)
def test_help_page_lists_every_input_with_default_options_and_limits(node: str, language: str) -> None:
    found = rows(page(node, language), 1)
    assert list(found) == [each["name"] for each in inputs(node)]
    for each in inputs(node):
        wanted = [*each.get("options", ()), *LIMITS.get((node, each["name"]), ())]
        wanted += [
            f"{each[bound]:g}" if each[bound] < 10**6 else each[bound] for bound in ("min", "max") if bound in each
        ]
        if each.get("default") not in (None, "", True, False):
            wanted.append(f"{each['default']:g}" if isinstance(each["default"], float) else each["default"])
        missing = [value for value in wanted if not says(found[each["name"]], value)]
        assert missing == [], f"{node} {language} {each['name']}"


@pytest.mark.parametrize(("node", "language"), PAGES)
def test_help_page_lists_every_output_with_its_type(node: str, language: str) -> None:
    found = rows(page(node, language), 2)
    assert list(found) == [each["name"] for each in NODES[node]["outputs"]]
    for each in NODES[node]["outputs"]:
        assert each["type"] in found[each["name"]]
        assert ("list" in found[each["name"]] or "列表" in found[each["name"]]) == each["list"]


@cache
def texts_of_the_pack() -> list[str]:
    """Return every string in the shipped Python except docstrings, with … for the values in an f-string."""
    found = []
    for path in (REPO / "nodes").rglob("*.py"):
        parts = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        docstrings = {id(part.value) for part in parts if isinstance(part, ast.Expr)}
        for part in (part for part in parts if id(part) not in docstrings):
            if isinstance(part, ast.JoinedStr):
                found.append("".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in part.values))
            elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                found.append(part.value)
    return found


def quoted_errors(text: str) -> list[str]:
    """Return the errors in a table: first cells in quotation marks."""
    return re.findall(r'^\| "(.+?)" \|', text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    "path",
    [DOCS / node / f"{language}.md" for node, language in PAGES] + [REPO / "README.md"],
    ids=lambda path: path.relative_to(REPO).as_posix(),
)
def test_help_page_quotes_only_errors_of_the_pack(path: Path) -> None:
    quoted = quoted_errors(path.read_text(encoding="utf-8"))
    assert quoted
    assert [error for error in quoted if not any(error in text for text in texts_of_the_pack())] == []


@pytest.mark.parametrize("node", NODES)
def test_help_pages_of_both_languages_name_the_same(node: str) -> None:
    english, chinese = page(node, "en"), page(node, "zh")
    assert quoted_errors(english) == quoted_errors(chinese)
    names = re.compile(r"`(\w+)`")
    assert set(names.findall(english)) == set(names.findall(chinese))
