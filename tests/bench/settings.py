"""The settings of a run, and printing of tables."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """The settings of one run.

    Args:
        folder: For files of this run.
        runs: How often each way is measured.
        quick: Whether to use tiny clips.
        comfyui: Core's folder, or None.
    """

    folder: Path
    runs: int
    quick: bool
    comfyui: Path | None

    def print_machine(self) -> None:
        """Print the first lines: the machine and the versions that were measured."""
        import av
        import numpy
        import torch

        versions = f"Python {platform.python_version()}, PyAV {av.__version__}, numpy {numpy.__version__}"
        print(f"{len(os.sched_getaffinity(0))} cores, {versions}, torch {torch.__version__}")
        print(f"Every way in a fresh process, interleaved, medians of {self.runs}. Load now: {os.getloadavg()[0]:.1f}")


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns of equal width."""
    widths = [max(len(row[index]) for row in (head, *rows)) for index in range(len(head))]
    print(f"\n{title}")
    for row in (head, *rows):
        first, *rest = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  " + "  ".join((first, *rest)))
