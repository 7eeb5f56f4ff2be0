"""Nothing half-built is ever taken for finished, and two set-ups at the same time build once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.host.cache import Cache, SetupError, cache_root
from tests.host.provision import REPO


def _build(folder: Path) -> None:
    (folder / "file").write_text("whole")


def test_cache_builds_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    first = cache.ensure("thing", ["recipe", 1], "a thing", _build)

    def never(_: Path) -> None:
        raise AssertionError("it is already built")

    assert cache.ensure("thing", ["recipe", 1], "a thing", never) == first
    assert (first / "file").read_text() == "whole"


def test_cache_gives_another_recipe_another_folder(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.ensure("thing", [1], "a thing", _build) != cache.ensure("thing", [2], "a thing", _build)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SetupError, OSError])
def test_cache_builds_again_what_was_interrupted(tmp_path: Path, interruption: type[BaseException]) -> None:
    cache = Cache(tmp_path)

    def halfway(folder: Path) -> None:
        (folder / "half").write_text("")
        raise interruption

    with pytest.raises(interruption):
        cache.ensure("thing", [1], "a thing", halfway)
    built = cache.ensure("thing", [1], "a thing", _build)

    assert [file.name for file in built.iterdir()] == ["file"]


def test_cache_builds_once_for_two_at_a_time(tmp_path: Path) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(REPO)!r})
from pathlib import Path
from tests.host.cache import Cache
root = Path({str(tmp_path)!r})
def build(folder):
    (folder / "file").write_text("whole")
    with (root / "builds").open("a") as file:
        file.write("built\\n")
Cache(root).ensure("thing", [1], "a thing", build)
"""
    running = [subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) for _ in range(4)]

    assert [process.wait(timeout=60) for process in running] == [0, 0, 0, 0]
    assert (tmp_path / "builds").read_text() == "built\n"


def test_cache_scripts_name_their_final_folder(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "bin").mkdir()
        (folder / "bin" / "tool").write_text(f"#!{folder}/bin/python\n")

    built = Cache(tmp_path).ensure("venv", [1], "a venv", build)

    assert (built / "bin" / "tool").read_text() == f"#!{built}/bin/python\n"


def test_cache_run_shows_the_end_of_a_failing_step(tmp_path: Path) -> None:
    step = [sys.executable, "-c", "print('no such package'); raise SystemExit(3)"]
    with pytest.raises(SetupError, match=r"ended with 3(.|\n)*no such package(.|\n)*setup.log"):
        Cache(tmp_path).run(step)


def test_cache_root_is_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "wan27-video"
