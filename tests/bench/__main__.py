"""Run the measurements: `python -m tests.bench [--quick] [--runs N] [SUBJECT …]`.

A subject is a module of this package with a function `run(settings)` that prints its tables. ComfyUI core is measured
if COMFYUI_TREE names its folder; opencv-python-headless, imageio-ffmpeg and torchcodec if they are installed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import tempfile
from pathlib import Path

from .settings import Settings

SUBJECTS = ("decode", "colors", "parts", "quality", "encode", "ledger")
"""Modules of this package, in the order of the output."""


def main() -> None:
    """Run the named subjects, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"of: {', '.join(SUBJECTS)} (all)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each way; the median is printed")
    parser.add_argument(
        "--quick", action="store_true", help="tiny clips and one run: shows that it works, not how fast it is"
    )
    arguments = parser.parse_args()
    tree = os.environ.get("COMFYUI_TREE")
    with tempfile.TemporaryDirectory(prefix="wan27-bench-") as folder:
        settings = Settings(
            folder=Path(folder),
            runs=1 if arguments.quick else arguments.runs,
            quick=arguments.quick,
            comfyui=Path(tree) if tree else None,
        )
        settings.print_machine()
        for name in arguments.subjects or SUBJECTS:
            module = f"{__package__}.{name}"
            if importlib.util.find_spec(module) is not None:
                importlib.import_module(module).run(settings)


if __name__ == "__main__":
    main()
