"""The files that `comfy node pack` puts into the zip, computed here so that they can be checked without packing.

The rules are comfy-cli's: the files that git knows (without git: all files), except those that .comfyignore matches.
Its patterns are git's, read with pathspec; the last one that matches wins. comfy-cli reads them as "gitwildmatch" and
is about to change to "gitignore". test_pack.py compares the result with the real zip. New files that git does not
ignore count too: they are in the zip after the next commit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from pathlib import Path

from pathspec import PathSpec

IGNORE_FILE = ".comfyignore"
GIT_ENV = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
"""Without the machine's own git settings (hooks, signing, excluded files)."""


def checkout(root: Path) -> list[str]:
    """Return every file of the checkout, relative to it; without git, all except those in .git and caches."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=GIT_ENV)
    except (OSError, subprocess.CalledProcessError):
        return sorted(_walk(root))
    return sorted({name for name in done.stdout.split("\0") if name and (root / name).exists()})


def _walk(root: Path) -> list[str]:
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in {".git", "__pycache__"}]
        found += [(Path(folder) / name).relative_to(root).as_posix() for name in files]
    return found


def shipped(root: Path) -> list[str]:
    """Return the files of the zip, relative to the checkout."""
    return not_ignored(root, checkout(root), style="gitwildmatch")


def not_ignored(root: Path, names: list[str], *, style: str) -> list[str]:
    """Return the `names` that .comfyignore does not match; `style` is one of pathspec's ways to read such a file."""
    lines = [line.strip() for line in (root / IGNORE_FILE).read_text(encoding="utf-8").splitlines()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        ignored = PathSpec.from_lines(style, [line for line in lines if line and not line.startswith("#")])
    return [name for name in names if not ignored.match_file(name)]


def copy(root: Path, target: Path, *, git: bool) -> Path:
    """Copy the checkout to pack it; with `git`, into a repository that knows every file."""
    for name in checkout(root):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target / name)
    if git:
        for words in (["init", "--quiet"], ["add", "--all"]):
            subprocess.run(["git", "-C", str(target), *words], check=True, env=GIT_ENV)
    return target
