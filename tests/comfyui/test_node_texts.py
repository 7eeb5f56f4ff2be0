"""Names, options and texts of the nodes as ComfyUI serves them: English is that of the nodes, Chinese is complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.examples.english import node_defs
from tests.host.comfy import ComfyUI

_NUMBER = re.compile(r"\d+")


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


def _numbers(text: str) -> list[str]:
    return sorted(_NUMBER.findall(text.replace("Wan 2.7", "")))


def _texts(info: dict[str, Any], told: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (name, English, Chinese) of every text of a node."""
    yield "display_name", info["display_name"], told["display_name"]
    yield "description", info["description"], told["description"]
    inputs = {name: spec for kind in ("required", "optional") for name, spec in info["input"].get(kind, {}).items()}
    assert set(told["inputs"]) == set(inputs)
    for name, spec in inputs.items():
        yield name, spec[1]["tooltip"], told["inputs"][name]["tooltip"]
    assert len(told["outputs"]) == len(info["output"])
    for index, tooltip in enumerate(info["output_tooltips"]):
        yield f"output {index}", tooltip, told["outputs"][str(index)]["tooltip"]


def test_chinese_texts_have_the_same_numbers(comfy: ComfyUI) -> None:
    chinese = comfy.get_json("/i18n")["zh"]["nodeDefs"]
    nodes = {name: info for name, info in comfy.get_json("/object_info").items() if name.startswith("Wan27")}

    assert {name for name in chinese if name.startswith("Wan27")} == set(nodes)
    for name, info in nodes.items():
        for name_of_text, english, text in _texts(info, chinese[name]):
            assert re.search(r"[\u4e00-\u9fff]", text), f"{name} {name_of_text}"
            assert _numbers(text) == _numbers(english), f"{name} {name_of_text}: {text}"
            # These have a meaning in the frontend's translations.
            assert not set("{}|@") & set(text), f"{name} {name_of_text}"
