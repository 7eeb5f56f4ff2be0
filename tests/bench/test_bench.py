from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_bench_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "decode", "ledger"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert "MiB" in done.stdout
    assert "panel: first page" in done.stdout
    assert "Error" not in done.stdout.replace("ModuleNotFoundError", ""), "optional modules may be missing, no more"
