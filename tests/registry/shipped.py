"""The files that `comfy node pack` puts into the zip, worked out here so that they can be looked into at once.

The same rules as comfy-cli: the files git knows (without git: all that lie there), less what .comfyignore matches. Its
patterns are git's, read with pathspec, where the last one that matches wins; comfy-cli reads them as
"gitwildmatch" and is about to give up for "gitignore". test_pack.py compares with the real zip.
Files that git does not know yet but would take are counted in: they are in the zip after the next commit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from pathlib import Path

from pathspec import PathSpec

IGNORE_FILE = ".comfyignore"
#: Git's own settings of this machine (hooks, signing, excluded files) are left out of it.
GIT_ENV = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def checkout(root: Path) -> list[str]:
    """Every file of the checkout, paths relative to it; without git all but what .git and caches hold."""
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
    """The files of the zip, paths relative to the checkout."""
    return not_ignored(root, checkout(root), style="gitwildmatch")


def not_ignored(root: Path, names: list[str], *, style: str) -> list[str]:
    """What .comfyignore leaves of `names`; `style` is one of pathspec's ways to read such a file."""
    lines = [line.strip() for line in (root / IGNORE_FILE).read_text(encoding="utf-8").splitlines()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        ignored = PathSpec.from_lines(style, [line for line in lines if line and not line.startswith("#")])
    return [name for name in names if not ignored.match_file(name)]


def copy(root: Path, target: Path, *, git: bool) -> Path:
    """A copy of the checkout to pack; with `git`, a repository in which every file is known."""
    for name in checkout(root):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target / name)
    if git:
        for words in (["init", "--quiet"], ["add", "--all"]):
            subprocess.run(["git", "-C", str(target), *words], check=True, env=GIT_ENV)
    return target
