"""The part of `make compat` that `make test` runs: every shipped file compiles on each installed Python."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.compat import pins, venvs
from tests.registry.shipped import shipped

COMPILE = """
import sys
for name in sys.argv[1:]:
    with open(name, "rb") as file:
        compile(file.read(), name, "exec", dont_inherit=True)
print("{}.{}".format(*sys.version_info[:2]))
"""


@pytest.mark.parametrize("version", pins.PYTHONS)
def test_shipped_files_compile_on_every_python(version: str) -> None:
    python = venvs.find_python(version)
    if not python:
        pytest.skip(f"Python {version} is not on this machine")
    names = [name for name in shipped(pins.REPO) if name.endswith(".py")]
    words = [python, "-W", "error", "-c", COMPILE, *names]
    done = subprocess.run(words, cwd=pins.REPO, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, version), done.stderr


def test_find_python_finds_this_one() -> None:
    assert venvs.find_python("{}.{}".format(*sys.version_info[:2])) == sys.executable


def test_find_python_returns_none_for_one_that_is_not_installed() -> None:
    assert venvs.find_python("3.1") is None


def test_lowest_versions_are_those_of_the_requirements() -> None:
    for line in (pins.REPO / "requirements.txt").read_text().split():
        name, bound = line.split(">=")
        assert pins.lowest("3.10")[name] == bound
