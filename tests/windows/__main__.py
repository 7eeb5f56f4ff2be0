"""make windows: the unit tests on a Windows CPython, under wine.

    python3 -m tests.windows [3.10 3.12 …] [--smoke] [--comfyui] [-- PYTEST ARGUMENTS]

--smoke: only the tests that do not need torch, which is then not downloaded. --comfyui: the tests of tests/comfyui,
which run on Linux, against a ComfyUI under wine. If wine is not available, that is printed and is not a failure. This
program needs the standard library only, on x86-64 Linux.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from contextlib import ExitStack
from pathlib import Path

from tests.compat.pins import NEEDS_COMFYUI, NEEDS_TORCH
from tests.host import provision
from tests.host.cache import Cache, SetupError, cache_root, say
from tests.host.s3 import swift

from .wine import (
    PACKAGES,
    PROGRAM,
    PYTHON,
    REPO,
    TORCH,
    UnavailableError,
    Wine,
    ensure_portable,
    ensure_python,
    provide,
    run,
    windows_path,
)

CLOCKS = (0, 3600, -7200)
PORTS_VARIABLE = "WINDOWS_S3_PORTS"
"""As in tests/storage/conftest.py, which needs pytest."""
PYTHONS = ("3.12",)
"""ComfyUI's portable build had 3.12 when it was at 0.3.75."""
NEEDS_LINUX = (*NEEDS_COMFYUI, "host")


def main() -> int:
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(prog="python3 -m tests.windows")
    parser.add_argument("pythons", nargs="*", default=PYTHONS, metavar="3.X")
    parser.add_argument("--smoke", action="store_true", help="without torch and the tests that need it")
    parser.add_argument("--comfyui", action="store_true", help="the ComfyUI tests instead of the unit tests")
    asked = parser.parse_args(words[:cut])
    cache, rows, worst = Cache(cache_root()), [], 0
    try:
        wine = provide(cache)
        if asked.comfyui:
            return run_comfyui_tests(cache, wine, asked.pythons[0], words[cut + 1 :])
        for version in asked.pythons:
            python = ensure_python(cache, version, PACKAGES if asked.smoke else [*PACKAGES, TORCH])
            code, row = run_tests(wine, python, smoke=asked.smoke, extra=words[cut + 1 :])
            rows.append(f"| {version} | {wine.version} | {row} |")
            worst = worst or code  # a crash is a negative or a very large number
    except UnavailableError as reason:
        say(f"not run: {reason}")
        return 0
    except SetupError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    print("\n".join(["", "| Python | wine | unit tests |", "|---|---|---|", *rows]))
    return worst


def run_tests(wine: Wine, python: Path, *, smoke: bool, extra: list[str]) -> tuple[int, str]:
    """Run the unit tests; return pytest's exit code and a summary."""
    left_out = NEEDS_LINUX + (NEEDS_TORCH if smoke else ())
    with ExitStack() as stack:
        folder = tempfile.TemporaryDirectory(prefix="wan27-windows-", ignore_cleanup_errors=True)
        scratch = Path(stack.enter_context(folder))
        for name in ("sockets", *map(str, CLOCKS)):
            (scratch / name).mkdir(mode=0o700)
        servers = [stack.enter_context(swift(scratch / str(clock), seconds_ahead=clock)) for clock in CLOCKS]
        words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not soak", "-o", "timeout_method=thread"]
        words += [f"--ignore=tests/{name}" for name in left_out]
        words.append(f"--basetemp={windows_path(scratch / 'pytest')}")
        words.append(f"--junit-xml={windows_path(scratch / 'report.xml')}")
        env = wine.environ(str(scratch / "sockets"))
        env[PORTS_VARIABLE] = " ".join(server.url.rpartition(":")[2] for server in servers)
        code = run([wine.program, windows_path(python / "python.exe"), *words, *extra], env)
        if not (scratch / "report.xml").exists():
            return code or 1, f"pytest ended with {code}"
        (suite,) = ET.parse(scratch / "report.xml").getroot().iter("testsuite")
    count = {name: int(suite.get(name, 0)) for name in ("tests", "skipped", "failures", "errors")}
    failed = count["failures"] + count["errors"]
    summary = f"{count['tests'] - failed - count['skipped']} passed, {count['skipped']} skipped"
    return code, summary + (f", **{failed} failed**" if failed else "")


def run_comfyui_tests(cache: Cache, wine: Wine, version: str, extra: list[str]) -> int:
    """Run the tests of tests/comfyui on Linux; return pytest's exit code."""
    host = provision.provide(browser=False)
    python = ensure_portable(cache, version, host.tree)
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.windows.comfyui", "-m", "not soak"]
    words += ["-o", "timeout=1800"]
    command = [str(host.overlay / "bin" / "python"), *words, *(extra or ["tests/comfyui"])]
    with tempfile.TemporaryDirectory(prefix="wan27-windows-") as sockets:
        env = host.environ() | {"WINEPREFIX": str(wine.prefix), "XDG_RUNTIME_DIR": sockets}
        env |= {PROGRAM: wine.program, PYTHON: windows_path(python / "python.exe")}
        return subprocess.run(command, cwd=REPO, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
