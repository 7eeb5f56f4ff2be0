"""make compat: the unit tests on each installed Python, with the lowest and the newest packages.

    python3 -m tests.compat [3.10 3.13 …] [--smoke] [--lowest | --newest] [-- PYTEST ARGUMENTS]

--smoke: only the tests that do not need torch, which is then not downloaded. --here: only this Python, with the newest
packages, which are installed into it; for machines of a CI, Windows and macOS included. This program needs the standard
library only. A Python is found as `python3.X` on PATH or in pyenv's folder; if it is missing, that is reported. The
venvs are in the cache of tests/host, and the table of results is also written to out/compat.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from nodes.core.hosts import HOSTS
from tests.host.cache import Cache, SetupError, cache_root, say

from . import pins, venvs


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    python: str
    versions: dict[str, str]
    passed: int
    skipped: int
    failed: int

    def __str__(self) -> str:
        columns = [self.python, *(self.versions.get(name, "-") for name in venvs.SHOWN)]
        result = f"{self.passed} passed" + (f", {self.skipped} skipped" if self.skipped else "")
        result += f", **{self.failed} failed**" if self.failed else ""
        return f"| {' | '.join(columns)} | {result} |"


HEAD = f"| Python | {' | '.join(venvs.SHOWN)} | unit tests |\n|{'---|' * (len(venvs.SHOWN) + 2)}"


def main() -> int:
    words, extra = _split(sys.argv[1:])
    parser = argparse.ArgumentParser(prog="python3 -m tests.compat")
    parser.add_argument("pythons", nargs="*", default=pins.PYTHONS, metavar="3.X")
    parser.add_argument("--smoke", action="store_true", help="without torch and the tests that need it")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--lowest", action="store_const", const=["lowest"], dest="ends")
    which.add_argument("--newest", action="store_const", const=["newest"], dest="ends")
    parser.add_argument("--here", action="store_true", help="only this Python; installs packages into it")
    asked = parser.parse_args(words)
    if asked.here:
        venvs.install_here(torch=not asked.smoke)
        row = run(sys.executable, "{}.{}".format(*sys.version_info[:2]), smoke=asked.smoke, extra=extra)
        print(f"\n{HEAD}\n{row}")
        return 1 if row.failed else 0

    cache = Cache(cache_root())
    rows: list[Row] = []
    problems = []
    for python in asked.pythons:
        found = venvs.find_python(python)
        if not found:
            say(f"Python {python} is not installed: skipped")
            continue
        for end in asked.ends or ["lowest", "newest"]:
            say(f"Python {python}, {end} packages …")
            result = _try(cache, found, python, end, asked.smoke, extra)
            if isinstance(result, Row):
                rows.append(result)
            else:
                problems.append(result)
            print(result, flush=True)
    table = "\n".join([HEAD, *map(str, rows)])
    (pins.REPO / "out").mkdir(exist_ok=True)
    (pins.REPO / "out" / "compat.md").write_text(table + "\n")
    print(f"\n{table}")
    for problem in problems:
        print(f"FAILED: {problem}", file=sys.stderr)
    return 1 if problems or not rows or any(row.failed for row in rows) else 0


def _try(cache: Cache, found: str, python: str, end: str, smoke: bool, extra: list[str]) -> Row | str:
    """Return the results of one run, or why it could not run."""
    try:
        venv = venvs.ensure(cache, found, python, end, torch=not smoke)
        return run(str(venv / "bin" / "python"), python, smoke=smoke, extra=extra)
    except SetupError as error:
        return f"Python {python}, {end} packages: {error}"


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    cut = words.index("--") if "--" in words else len(words)
    return words[:cut], words[cut + 1 :]


def run(executable: str, python: str, *, smoke: bool, extra: list[str]) -> Row:
    """Run the unit tests with the Python `executable`.

    Raises:
        SetupError: they could not be run at all.
    """
    left_out = pins.NEEDS_COMFYUI + (pins.NEEDS_TORCH if smoke else ()) + (("host",) if sys.platform == "win32" else ())
    with tempfile.TemporaryDirectory(prefix="wan27-compat-", ignore_cleanup_errors=True) as scratch:
        report = Path(scratch) / "report.xml"
        command = [executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not soak"]
        # A thread also stops what hangs inside a library; a signal would wait for Python to continue.
        command += ["-o", "timeout_method=thread"]
        command += [f"--ignore=tests/{name}" for name in left_out]
        # pytest keeps the files of the newest three runs; runs side by side would delete those of each other.
        command += [f"--basetemp={scratch}/pytest", f"--junit-xml={report}", *extra]
        keys = {host.key_variable for host in HOSTS.values()}
        env = {name: value for name, value in os.environ.items() if name not in keys and not name.startswith("WAN27_")}
        folder = Path(executable).parent
        env |= {"PATH": f"{folder}{os.pathsep}{env.get('PATH', os.defpath)}", "PYTHONDONTWRITEBYTECODE": "1"}
        for name in ("PYTHONPATH", "PYTHONHOME"):
            env.pop(name, None)
        code = subprocess.run([str(word) for word in command], cwd=pins.REPO, env=env, check=False).returncode
        if code not in {0, 1} or not report.exists():
            raise SetupError(f"pytest ended with {code}: see above.")
        (suite,) = ET.parse(report).getroot().iter("testsuite")
    total, failed, skipped = (
        int(suite.get("tests", 0)),
        int(suite.get("failures", 0)) + int(suite.get("errors", 0)),
        int(suite.get("skipped", 0)),
    )
    versions = venvs.versions(executable)
    return Row(python, versions, total - failed - skipped, skipped, failed)


if __name__ == "__main__":
    sys.exit(main())
