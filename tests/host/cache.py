"""A folder of things that are slow to build, each named after what it was built from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class SetupError(Exception):
    """Something could not be set up; the text says what and what to do."""


def cache_root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base).expanduser().absolute() / "wan27-video"


def say(text: str) -> None:
    """Print progress to stderr: stdout belongs to the command that runs in the host."""
    print(f"[host] {text}", file=sys.stderr, flush=True)


class Cache:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "setup.log"

    def ensure(self, name: str, recipe: object, what: str, build: Callable[[Path], None]) -> Path:
        """Return the folder `name` built from `recipe`; build it if it does not exist.

        It is built under another name and renamed at the end, so a folder with its own name is complete.
        """
        key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]
        final = self.root / f"{name}-{key}"
        if final.is_dir():
            return final
        with self.locked():
            if final.is_dir():
                return final
            building = self.root / f"{name}-{key}.building"
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir(parents=True)
            say(f"{what} …")
            started = time.monotonic()
            build(building)
            _point_scripts_at(building, final)
            building.rename(final)
            say(f"{what}: done in {time.monotonic() - started:.0f} s")
        return final

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Allow one set-up at a time for each cache. The lock ends with the process, however that ends."""
        import fcntl  # not on Windows, where some tests import this module

        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another set-up is running, waiting for it …")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def run(self, command: Sequence[str | Path], *, hint: str = "", env: dict[str, str] | None = None) -> None:
        """Run a step of a set-up and write its output to the log file."""
        words = [str(word) for word in command]
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"\n$ {' '.join(words)}\n")
            log.flush()
            start = log.tell()
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, check=False
            ).returncode
        if done:
            with self.log.open(encoding="utf-8", errors="replace") as log:
                log.seek(start)
                tail = log.read()[-2000:].splitlines()[-15:]
            raise SetupError(
                f"`{' '.join(words)}` ended with {done}. {hint}\n" + "\n".join(tail) + f"\nFull log: {self.log}"
            )


def _point_scripts_at(building: Path, final: Path) -> None:
    """Replace the interpreter's full path in a venv's scripts, which the rename changes."""
    old, new = str(building).encode(), str(final).encode()
    scripts = building / "bin"
    for script in scripts.iterdir() if scripts.is_dir() else ():
        if script.is_symlink() or not script.is_file():
            continue
        data = script.read_bytes()
        if data.startswith(b"#!") or script.name.startswith(("activate", "Activate")):
            script.write_bytes(data.replace(old, new))
