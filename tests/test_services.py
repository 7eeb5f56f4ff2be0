"""What there is once in a process."""

from __future__ import annotations

import logging

import pytest

from nodes import services


def test_warn_once_logs_each_notice_the_first_time(caplog: pytest.LogCaptureFixture) -> None:
    process = services._Process()
    for text in ("Files are public.", "", "Files are public.", "Others"):
        process.warn_once(text)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, "Wan 2.7: Files are public."),
        (logging.WARNING, "Wan 2.7: Others"),
    ]
