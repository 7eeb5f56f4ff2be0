"""A fuzz run: damaged files for a pool of child processes, and what came of each of them.

    python -m tests.media.fuzz.run --files 2000 --seed 1 [--first NUMBER] [--keep FOLDER]

A child handles one file after the other. If it ends, the file that it had in hand counts as a crash, and a new child
goes on with the next one. A hang is counted in CPU time, of all threads of the child together: a busy machine makes no
file a hang. A child that waits for itself uses no CPU time; it is ended after some minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from random import Random
from tempfile import TemporaryDirectory
from time import monotonic

import psutil

from nodes.core.disk import remove
from tests.media.fuzz.corpus import write_corpus
from tests.media.fuzz.damage import damaged
from tests.media.fuzz.worker import ANSWER, MEMORY_LIMIT

REPO = Path(__file__).resolve().parents[3]
MAX_CPU_SECONDS = 10.0
MAX_SECONDS = 300.0
_LOOK_SECONDS = 0.2
_MALLOC = "glibc.malloc.perturb=165"
"""Memory that was freed is filled with this, so that its further use shows at once."""


@dataclass(frozen=True)
class Result:
    """What came of one file.

    Attributes:
        outcomes: of each reading: "ok", "refused", or the traceback of an error that is not a clear one.
        problem: "crash", "hang", "memory" or "error", "" if all is well.
    """

    file: str
    outcomes: tuple[str, ...] = ()
    problem: str = ""
    text: str = ""
    cpu_seconds: float = 0.0
    memory: int = 0


def summary(results: Sequence[Result]) -> str:
    """Return the counts of a run, in one sentence."""
    problems = Counter(result.problem for result in results)
    outcomes = Counter(outcome for result in results for outcome in result.outcomes)
    return (
        f"{len(results)} files: {problems['crash']} crashes, {problems['hang']} hangs, {problems['memory']} beyond the "
        f"memory limit, {problems['error']} unclear errors; {outcomes['ok']} readings gave a result, "
        f"{outcomes['refused']} a clear error; at most {max(result.cpu_seconds for result in results):.1f} s of CPU "
        f"time and {max(result.memory for result in results) >> 20} MiB for a file"
    )


def fuzz(
    intact: Sequence[Path], seed: int, numbers: Sequence[int], *, processes: int = 2, keep: Path | None = None
) -> list[Result]:
    """Damage and read one file for each number. The same seed and number make the same file of the same intact ones.

    Args:
        keep: folder for copies of the files that did not end well.
    """
    waiting, results = Queue[int](), list[Result]()
    for number in numbers:
        waiting.put(number)
    with (
        TemporaryDirectory(prefix="wan27-fuzz-", ignore_cleanup_errors=True) as name,
        ThreadPoolExecutor(processes) as pool,
    ):
        folder = Path(name)
        corpus = [(path.name, path.read_bytes()) for path in intact]

        def work(index: int) -> None:
            for path in _damaged_files(corpus, seed, waiting, folder / str(index)):
                child = children[index]
                result = child.read(path)
                results.append(result)
                if result.problem:
                    print(f"{result.problem}: seed {seed}, {result.file}: {result.text}", file=sys.stderr, flush=True)
                    if keep is not None:
                        shutil.copy(path, keep)
                if result.problem in ("crash", "hang", "memory"):
                    child.end()
                    children[index] = Child(folder / str(index))

        for index in range(processes):
            (folder / str(index)).mkdir()
        children = [Child(folder / str(index)) for index in range(processes)]
        try:
            for done in [pool.submit(work, index) for index in range(processes)]:
                done.result()
        finally:
            for child in children:
                child.end()
    return results


def _damaged_files(corpus: list[tuple[str, bytes]], seed: int, numbers: Queue[int], folder: Path) -> Iterator[Path]:
    while True:
        try:
            number = numbers.get_nowait()
        except Empty:
            return
        dice = Random(f"{seed} {number}")
        name, data = dice.choice(corpus)
        path = folder / f"{number}_{name}"
        path.write_bytes(damaged(data, path.suffix[1:], dice))
        yield path
        remove(path)


class Child:
    """A child process that reads files. `folder` is its own."""

    def __init__(self, folder: Path) -> None:
        self._errors = folder / "stderr.txt"
        (folder / "sent").mkdir(exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "tests.media.fuzz.worker", str(folder / "sent")],
            cwd=REPO,
            env={**os.environ, "GLIBC_TUNABLES": _MALLOC, "SVT_LOG": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors.open("wb"),
            text=True,
        )
        self._seen = psutil.Process(self._process.pid)
        self._answers: Queue[dict | None] = Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._answers.get()  # it has imported everything

    def read(self, path: Path) -> Result:
        """Have a file read, and wait for the answer or for a problem."""
        assert self._process.stdin is not None
        began, start = self._cpu_seconds(), monotonic()
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        while True:
            try:
                answer = self._answers.get(timeout=_LOOK_SECONDS)
            except Empty:
                cpu_seconds = self._cpu_seconds() - began
                if cpu_seconds > MAX_CPU_SECONDS or monotonic() - start > MAX_SECONDS:
                    text = f"{cpu_seconds:.0f} s of CPU time in {monotonic() - start:.0f} s"
                    return Result(path.name, problem="hang", text=text, cpu_seconds=cpu_seconds)
                if (held := self._seen.memory_info().rss) > 4 * MEMORY_LIMIT:
                    return Result(path.name, problem="memory", text=f"{held >> 20} MiB", memory=held)
                continue
            if answer is None:
                self._process.wait()
                log = self._errors.read_text(errors="replace").partition("Extension modules:")[0]
                return Result(path.name, problem="crash", text=f"exit {self._process.returncode}\n{log[-3000:]}")
            return _judged(path.name, answer, self._cpu_seconds() - began)

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(ANSWER):
                self._answers.put(json.loads(line.removeprefix(ANSWER)))
        self._answers.put(None)

    def _cpu_seconds(self) -> float:
        try:
            times = self._seen.cpu_times()
        except psutil.Error:  # it has just ended
            return 0.0
        return float(times.user + times.system)


def _judged(file: str, answer: dict, cpu_seconds: float) -> Result:
    outcomes, memory = tuple(answer["outcomes"]), int(answer["memory"])
    unclear = [outcome for outcome in outcomes if outcome not in ("ok", "refused")]
    if cpu_seconds > MAX_CPU_SECONDS:
        problem, text = "hang", f"{cpu_seconds:.1f} s of CPU time"
    elif memory > MEMORY_LIMIT:
        problem, text = "memory", f"{memory >> 20} MiB"
    else:
        problem, text = ("error", "\n".join(unclear)) if unclear else ("", "")
    return Result(file, outcomes, problem, text, cpu_seconds, memory)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Read damaged video files in child processes.")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for the files that did not end well")
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="wan27-fuzz-", ignore_cleanup_errors=True) as corpus_folder:
        found = fuzz(
            write_corpus(Path(corpus_folder)),
            options.seed,
            range(options.first, options.first + options.files),
            processes=options.processes,
            keep=options.keep,
        )
    print(f"seed {options.seed}: {summary(found)}")
    sys.exit(any(result.problem for result in found))
