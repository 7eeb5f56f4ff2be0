from __future__ import annotations

from typing import Any

import pytest

from tests.service import faults as faults_module
from tests.service.client import Client
from tests.service.faults import KINDS, Faults, at


def hits(polls: int, **fault: Any) -> list[bool]:
    """Return which of some polls a fault hits."""
    faults = Faults()
    faults.set(at("result", "server_error", **fault))
    return [faults.pick("result") is not None for _ in range(polls)]


def test_fault_counts_its_hits() -> None:
    assert hits(3) == [True, False, False]
    assert hits(4, count=2) == [True, True, False, False]
    assert hits(4, skip=2) == [False, False, True, False]
    assert hits(4, count=None) == [True] * 4


def test_fault_probability_is_repeatable() -> None:
    first = hits(1000, probability=0.3, seed=5)
    assert first == hits(1000, probability=0.3, seed=5)
    assert first != hits(1000, probability=0.3, seed=6)
    assert 240 < sum(first) < 360
    assert sum(hits(1000, probability=0.5, count=3)) == 3


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"kind": "lost_answer"},
        {"at": "submit", "kind": "garbage"},
        {"at": "submit", "kind": "lost_answer", "seconds": 3},
        {"at": "submit", "kind": "lost_answer", "count": "3"},
        {"at": "submit", "kind": "lost_answer", "probability": "often"},
    ],
)
def test_faults_that_are_wrong_are_refused(fault: dict[str, Any]) -> None:
    faults = Faults()
    faults.set(at("submit", "refuse"))
    with pytest.raises(ValueError, match=r"fault|value|count|float"):
        faults.set([fault])
    assert [left["kind"] for left in faults.show()] == ["refuse"]


def test_faults_are_set_shown_and_cleared(client: Client) -> None:
    one, two = {"at": "submit", "kind": "refuse"}, {"at": "task", "kind": "slow", "seconds": 1}
    client.service.faults(one, two)
    shown = client.service.fault_hits()
    assert [(fault["at"], fault["kind"], fault["hits"]) for fault in shown] == [
        ("submit", "refuse", 0),
        ("task", "slow", 0),
    ]
    client.service.faults(two)
    assert client.service.fault_hits() == shown[1:]
    client.service.faults()
    assert client.service.fault_hits() == []


def test_faults_of_one_place_hit_in_order() -> None:
    faults = Faults()
    faults.set([*at("result", "cut", "not_found", "cut"), *at("submit", "refuse")])
    assert [fault and fault.kind for fault in (faults.pick("result") for _ in range(4))] == [
        "cut",
        "not_found",
        "cut",
        None,
    ]


def test_faults_documentation_names_every_kind() -> None:
    for kinds in KINDS.values():
        for kind, values in kinds.items():
            assert kind in (faults_module.__doc__ or "")
            assert all(value in (faults_module.__doc__ or "") for value in values)
