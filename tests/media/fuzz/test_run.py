"""Damaged video files end in frames or in a clear error: no crash, no hang, no memory beyond the limit."""

from __future__ import annotations

import os
from pathlib import Path
from random import SystemRandom

import pytest

from tests.conftest import Measured
from tests.media.fuzz.corpus import write_corpus
from tests.media.fuzz.run import Child, fuzz, summary
from tests.media.fuzz.worker import CRASH

SEED = 13
FILES, SOAK_FILES = 40, 2000


def test_fuzz_child_reads_every_intact_file_and_its_crash_is_noticed(tmp_path: Path) -> None:
    child = Child(tmp_path)
    try:
        for path in write_corpus(tmp_path):
            result = child.read(path)
            sendable = path.suffix in (".mp4", ".mov")
            assert result.problem == "", f"{path.name}: {result.text}"
            assert result.outcomes == ("ok",) * 5 + ("ok" if sendable else "refused",), path.name
        assert child.read(tmp_path / CRASH).problem == "crash"
    finally:
        child.end()


def test_fuzz_a_few_files(measured: Measured) -> None:
    check(SEED, FILES, measured)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_fuzz_two_thousand_files(measured: Measured) -> None:
    """A new seed each time, or WAN27_FUZZ_SEED."""
    check(int(os.environ.get("WAN27_FUZZ_SEED") or SystemRandom().randrange(1_000_000)), SOAK_FILES, measured)


def check(seed: int, files: int, measured: Measured) -> None:
    results = fuzz(seed, range(files))
    measured(f"fuzz, seed {seed}: {summary(results)}")
    assert [f"{result.file}: {result.problem} {result.text}" for result in results if result.problem] == []
