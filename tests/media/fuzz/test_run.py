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
FILES, SOAK_FILES = 30, 2000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def test_fuzz_child_reads_every_intact_file_and_its_crash_is_noticed(corpus: list[Path], tmp_path: Path) -> None:
    child = Child(tmp_path)
    try:
        for path in corpus:
            result = child.read(path)
            sendable = path.suffix in (".mp4", ".mov")
            assert result.problem == "", f"{path.name}: {result.text}"
            assert result.outcomes == ("ok",) * 7 + ("ok" if sendable else "refused",), path.name
        assert child.read(tmp_path / CRASH).problem == "crash"
    finally:
        child.end()


def test_fuzz_a_few_files(corpus: list[Path], measured: Measured) -> None:
    check(corpus, SEED, FILES, 1, measured)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_fuzz_two_thousand_files(corpus: list[Path], measured: Measured) -> None:
    """A new seed each time, or WAN27_FUZZ_SEED."""
    seed = int(os.environ.get("WAN27_FUZZ_SEED") or SystemRandom().randrange(1_000_000))
    print(f"fuzz, seed {seed}", flush=True)
    check(corpus, seed, SOAK_FILES, 2, measured)


def check(corpus: list[Path], seed: int, files: int, processes: int, measured: Measured) -> None:
    results = fuzz(corpus, seed, range(files), processes=processes)
    measured(f"fuzz, seed {seed}: {summary(results)}")
    assert [f"{result.file}: {result.problem} {result.text}" for result in results if result.problem] == []
