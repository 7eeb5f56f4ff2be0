"""A pytest plugin that starts the ComfyUI of tests/host under wine, in the layout of the portable Windows build.

The tests themselves run on Linux: paths are translated on the way to ComfyUI and back.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from typing import Any

from tests.host import comfy
from tests.host.comfy import ComfyUI
from tests.host.prompt import Run

from .wine import ENVIRONMENT, PROGRAM, PYTHON, windows_path


def _launch(self: ComfyUI, command: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
    temporary = windows_path(self.base / "tmp")
    env = {name: _translated(value) if name in self.env else value for name, value in env.items()}
    words = [
        os.environ[PROGRAM],
        os.environ[PYTHON],
        "-s",
        *map(_translated, command[1:]),
        "--windows-standalone-build",
    ]
    process = subprocess.Popen(
        words,
        cwd=self.base,
        env={**env, **ENVIRONMENT, "TEMP": temporary, "TMP": temporary},
        # Wine gives CPython an invalid handle if a stream is a file or /dev/null.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdin and process.stdout
    process.stdin.close()
    output, log = process.stdout, self.log_path.open("ab", buffering=0)

    def copy() -> None:
        with output, log:
            while data := os.read(output.fileno(), 1 << 16):
                log.write(data)

    threading.Thread(target=copy, daemon=True).start()
    return process


def _translated(word: str) -> str:
    for start in ("sqlite:///", ""):
        if word.startswith(f"{start}/"):
            return start + windows_path(word.removeprefix(start))
    return word


def _here(value: Any) -> Any:
    """Return JSON from ComfyUI with its paths as this side knows them."""
    if isinstance(value, str):
        return _plain(value) if re.match(r"[Zz]:[\\/]", value) else value
    if isinstance(value, list):
        return [_here(each) for each in value]
    if isinstance(value, dict):
        return {_here(name): _here(each) for name, each in value.items()}
    return value


def _plain(text: str) -> str:
    """Return a text, such as a log, with the paths in it as this side knows them."""
    return re.sub(r"[Zz]:(?=[\\/])", "", text).replace("\\", "/")


def _use_wine() -> None:
    comfy.START_SECONDS = 900  # the first start compiles everything
    comfy.FIRST_PORT = 31_000  # such a start is slow: no other ComfyUI should take the port meanwhile
    event, get_json, log, warnings = Run._event, ComfyUI.get_json, ComfyUI.log, ComfyUI._warnings
    replaced: dict[str, Any] = {
        "_launch": _launch,
        "get_json": lambda self, path: _here(get_json(self, path)),
        "log": property(lambda self: _plain(log.__get__(self))),
        "_warnings": lambda self: [{name: _plain(text) for name, text in line.items()} for line in warnings(self)],
    }
    for name, replacement in replaced.items():
        setattr(ComfyUI, name, replacement)
    Run._event = lambda self, message: event(self, _here(message))  # type: ignore[method-assign]


if PROGRAM in os.environ:
    _use_wine()
