"""Pauses between attempts, and what a Retry-After header says."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from nodes.core.backoff import Backoff, jitter, retry_after_seconds

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("attempt", "roll", "retry_after", "pause"),
    [
        (1, 0.5, None, 0.5),
        (2, 0.5, None, 1.0),
        (3, 1.0, None, 4.0),
        (9, 1.0, None, 8.0),
        (10_000, 1.0, None, 8.0),
        (3, 0.0, None, 0.0),
        (1, 0.0, 7.0, 7.0),
        (1, 0.5, 7.0, 7.5),
        (3, 0.0, 0.0, 0.0),
        (3, 0.0, -3.0, 0.0),
        (1, 0.0, 600.0, 30.0),
    ],
)
def test_backoff_pause_doubles_unless_the_server_asks_for_a_time(
    attempt: int, roll: float, retry_after: float | None, pause: float
) -> None:
    backoff = Backoff(first_seconds=1, longest_seconds=8, longest_retry_after=30)
    assert backoff.pause(attempt, roll, retry_after) == pause


def test_jitter_is_a_fraction() -> None:
    assert all(0 <= jitter() < 1 for _ in range(100))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_seconds_reads_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, now=NOW) == seconds
