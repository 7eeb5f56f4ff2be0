"""Names, options and texts of the nodes as ComfyUI serves them: English is the nodes' own, Chinese has all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.examples.english import node_defs
from tests.host.comfy import ComfyUI


def texts(entry: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(entry, dict):
        for key, value in entry.items():
            yield from texts(value, f"{path}/{key}")
    else:
        yield path, entry


@pytest.fixture
def english(comfy: ComfyUI) -> dict[str, str]:
    return dict(texts(node_defs(comfy.get_json("/object_info"))))


@pytest.fixture
def served(comfy: ComfyUI) -> dict[str, dict[str, str]]:
    told = comfy.get_json("/i18n")
    return {language: dict(texts(told[language]["nodeDefs"])) for language in ("en", "zh")}


def test_english_texts_are_those_of_the_nodes(english: dict[str, str], served: dict[str, dict[str, str]]) -> None:
    assert served["en"] == english, "run python3 -m tests.host python -m tests.examples.english"


def test_chinese_texts_are_complete(english: dict[str, str], served: dict[str, dict[str, str]]) -> None:
    assert set(english) - set(served["zh"]) == set()
    assert set(served["zh"]) - set(english) == set()
    assert [path for path, text in served["zh"].items() if not text.strip()] == []


def test_chinese_names_end_with_what_errors_and_help_pages_call_them(
    english: dict[str, str], served: dict[str, dict[str, str]]
) -> None:
    names = [path for path in english if path.endswith("/name")]
    assert [path for path in names if served["zh"][path].split()[-1] != english[path]] == []


def test_help_pages_are_served(comfy: ComfyUI, english: dict[str, str]) -> None:
    nodes = {path.split("/")[1] for path in english}
    for node in nodes:
        for language in ("en", "zh"):
            page = comfy.request("GET", f"/extensions/wan27-video/docs/{node}/{language}.md").raise_for_status()
            assert page.text.startswith("# Wan 2.7 "), node
