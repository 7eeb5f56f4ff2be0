"""Values of decoded JSON of any shape."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.api.json_values import in_range, integer, mapping, mappings, number, short, text, timestamp

ODD: list[Any] = [None, True, [], {}, "", "x", float("nan"), float("inf"), 10**400]


@pytest.mark.parametrize("value", ODD, ids=[str(index) for index in range(len(ODD))])
def test_odd_values_never_raise(value: Any) -> None:
    assert number(value) is None
    assert integer(value, 10) is None
    assert timestamp(value) is None
    assert mapping(value) == {}
    assert mappings(value) == []
    assert isinstance(text(value), str)
    assert len(short(value, 20)) <= 20


def test_numbers_may_be_text() -> None:
    assert (number("1.5"), integer("7", 10), integer(7.0, 10), in_range("150", 100)) == (1.5, 7, 7, 100.0)
    assert (integer("11", 10), integer(-1, 10)) == (None, None)


@pytest.mark.parametrize(
    "value",
    [
        "2025-11-26T00:00:01Z",
        "2025-11-26T00:00:01.5Z",
        "2025-11-26T00:00:01.123456789Z",
        "2025-11-26T00:00:01+00:00",
        "2025-11-26T08:00:01+08:00",
        "2025-11-26 00:00:01",
    ],
)
def test_timestamp_reads_every_form_of_a_time(value: str) -> None:
    assert timestamp(value) == 1_764_115_201.0


def test_mappings_leave_out_what_is_not_an_object() -> None:
    assert mappings([{"a": 1}, None, 5, [{}]]) == [{"a": 1}]
