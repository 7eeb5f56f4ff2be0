"""Real S3 servers for the tests, started once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from os import environ
from pathlib import Path

import pytest

from tests.host.s3 import S3Server, swift

CLOCKS = (0, 3600, -7200)
"""How many seconds the clock of each server is ahead."""
PORTS_VARIABLE = "WINDOWS_S3_PORTS"
"""The ports of these servers, if `make windows` has started them on the Linux side."""


@contextmanager
def server(folder: Path, clock: int) -> Iterator[S3Server]:
    if ports := environ.get(PORTS_VARIABLE):
        yield S3Server(f"http://127.0.0.1:{ports.split()[CLOCKS.index(clock)]}")
    elif sys.platform != "linux":
        pytest.skip("Swift runs on Linux only")
    else:
        with swift(folder, seconds_ahead=clock) as running:
            yield running


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with server(tmp_path_factory.mktemp("swift"), CLOCKS[0]) as running:
        yield running


@pytest.fixture(params=CLOCKS[1:], ids=["behind", "ahead"])
def s3_with_another_time(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[S3Server]:
    """A server for which this computer's clock is 1 hour behind, or 2 hours ahead."""
    with server(tmp_path, request.param) as running:
        yield running
