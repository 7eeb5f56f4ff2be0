"""Workflows are kept for each prompt, privately, and never get in the way of a request."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodes.ledger import workflows
from nodes.ledger.workflows import Workflows
from tests.fixtures import House
from tests.systems import is_private

GRAPH = {"nodes": [{"id": 7, "widgets_values": ["一只猫", 0.5, None]}], "links": []}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "user" / "workflows"


def test_workflow_is_found_by_its_prompt(folder: Path) -> None:
    Workflows(folder).keep("../prompt", GRAPH)

    assert Workflows(folder).find("../prompt") == GRAPH
    assert Workflows(folder).find("other") is None
    assert Workflows(folder).find("") is None
    (file,) = folder.iterdir()
    assert is_private(file)


def _endless() -> dict[str, object]:
    graph: dict[str, object] = {}
    for _ in range(100_000):
        graph = {"inner": graph}
    return graph


@pytest.mark.parametrize(
    "graph",
    [{"seed": float("nan")}, {"image": "x" * 1_100_000}, {"text": {1, 2}}, _endless()],
    ids=["not a number", "an image", "no JSON", "too deep"],
)
def test_workflow_that_cannot_be_kept_is_left_out(graph: dict[str, object], folder: Path) -> None:
    Workflows(folder).keep("prompt", graph)

    assert Workflows(folder).find("prompt") is None


def test_workflow_does_not_fail_without_a_folder_to_write_to(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("not a folder")

    Workflows(folder).keep("prompt", GRAPH)

    assert Workflows(folder).find("prompt") is None


@pytest.mark.parametrize("damage", ["cut off", "other bytes", "no gzip"])
def test_workflow_that_is_damaged_is_not_found(damage: str, folder: Path) -> None:
    Workflows(folder).keep("prompt", GRAPH)
    (file,) = folder.iterdir()
    data = file.read_bytes()
    file.write_bytes(
        {"cut off": data[:-12], "other bytes": data[:10] + b"\xff" * (len(data) - 10), "no gzip": b"{}"}[damage]
    )

    assert Workflows(folder).find("prompt") is None


def test_workflow_that_is_old_makes_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflows, "KEPT", 3)
    for number in range(5):
        Workflows(folder).keep(f"prompt {number}", GRAPH)

    assert len(list(folder.iterdir())) == 3
    assert Workflows(folder).find("prompt 4") == GRAPH


def test_workflow_of_a_new_task_is_kept_and_of_one_that_is_used_again_is_not(house: House) -> None:
    house.run(house.order(prompt_id="first", workflow=GRAPH))
    house.run(house.order(prompt_id="second", workflow=GRAPH))

    assert house.ledger().workflows.find("first") == GRAPH
    assert house.ledger().workflows.find("second") is None
