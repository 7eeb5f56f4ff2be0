"""The ledger's tests use the same runner and fake service as the runner's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes.ledger import Ledger
from tests.fixtures import house, service

__all__ = ["house", "service"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "user" / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    made = Ledger(path)
    yield made
    made.close()


@pytest.fixture
def other(path: Path) -> Iterator[Ledger]:
    """The same file in another process, as far as the ledger can tell."""
    made = Ledger(path)
    made.recover()
    yield made
    made.close()
