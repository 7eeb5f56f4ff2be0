"""Measures a function in a fresh process: seconds, processor seconds, and memory above the imports.

The parent calls `interleaved`; the child is this module's `__main__`. A way is "module:function". The child imports the
module before the clock starts, so a module imports at its top what its functions need.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MIB = 1 << 20
_SETTLE_SECONDS, _MUCH = 4.0, 512 * MIB
"""Some virtual machines return free memory to their host about two seconds after it became free, in the middle of the
next measurement. After this time the memory of the last process has been returned, and memory that is touched then
stays until the run is over."""


@dataclass(frozen=True)
class Way:
    """One way to do something.

    Args:
        function: "module:function".
        touch: Bytes of memory to touch before, since fresh memory can cost more than the work.
        needs: Bytes that must be free to run it at all.
    """

    function: str
    arguments: dict[str, Any] = field(default_factory=dict)
    touch: int = 0
    needs: int = 0


@dataclass(frozen=True)
class Figures:
    """Medians of all runs.

    Args:
        wall: Seconds.
        cpu: Processor seconds.
        peak: Bytes of memory above the imports.
        given: What the function returned.
        fastest: The least wall of all runs.
        least_cpu: The least cpu of all runs.
    """

    wall: float
    cpu: float
    peak: float
    given: dict[str, Any]
    fastest: float
    least_cpu: float


def interleaved(ways: Mapping[str, Way], runs: int) -> dict[str, Figures | str]:
    """Measure every way `runs` times, in turns, each time in a fresh process.

    Returns:
        The figures of each way, or a text that says why it could not run.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    failed: dict[str, str] = {}
    names = list(ways)
    for run in range(runs):
        for name in names[run % len(names) :] + names[: run % len(names)]:
            if name in failed:
                continue
            try:
                found[name].append(_one(ways[name]))
            except RuntimeError as error:
                failed[name] = str(error)
    return {name: failed.get(name) or _median(found[name]) for name in ways}


def _median(samples: list[dict[str, Any]]) -> Figures:
    middle = {key: statistics.median(sample[key] for sample in samples) for key in ("wall", "cpu", "peak")}
    fastest, least_cpu = (min(sample[key] for sample in samples) for key in ("wall", "cpu"))
    return Figures(**middle, given=samples[-1]["given"], fastest=fastest, least_cpu=least_cpu)


def _one(way: Way) -> dict[str, Any]:
    if way.needs > _free():
        raise RuntimeError(f"needs {way.needs / 2**30:.1f} GiB, {_free() / 2**30:.1f} are free")
    if way.touch >= _MUCH:
        time.sleep(_SETTLE_SECONDS)
    request = json.dumps({"function": way.function, "arguments": way.arguments, "touch": way.touch})
    done = subprocess.run(
        [sys.executable, "-m", __name__, request],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        raise RuntimeError(last[:160])
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def _free() -> int:
    line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    return int(line.split()[1]) * 1024


def _child(request: dict[str, Any]) -> None:
    module, name = request["function"].split(":")
    function = getattr(importlib.import_module(module), name)
    _touch(request["touch"])
    before = _resident()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    cpu, wall = sum(os.times()[:4]), time.perf_counter()
    given = function(**request["arguments"])
    wall, cpu = time.perf_counter() - wall, sum(os.times()[:4]) - cpu
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": _resident("VmHWM") - before, "given": given}))


def _touch(count: int) -> None:
    """Touch memory: a virtual machine may take seconds for the first touch of a gigabyte."""
    if count:
        data = np.empty(count, np.uint8)
        data.fill(1)


def _resident(name: str = "VmRSS") -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    _child(json.loads(sys.argv[1]))
