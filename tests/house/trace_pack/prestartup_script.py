"""Runs in ComfyUI before any pack is loaded: writes down the modules of the pack whose functions are called.

It begins when the first node of the pack is executed, so that loading and validating are not counted.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
from pathlib import Path
from types import FrameType

NODES = os.environ["WAN27_TRACE_NODES"] + os.sep
FILE = Path(os.environ["WAN27_TRACE_FILE"])
_called: set[str] = set()
_begun = False


def _profile(frame: FrameType, event: str, _argument: object) -> None:
    global _begun  # noqa: PLW0603
    code = frame.f_code
    file = code.co_filename
    if event != "call" or file in _called or not file.startswith(NODES) or not code.co_flags & inspect.CO_NEWLOCALS:
        return  # the body of a module or class is not a function
    _begun = _begun or code.co_name == "execute"
    if _begun:
        _called.add(file)
        with FILE.open("a") as lines:
            lines.write(file.removeprefix(NODES) + "\n")


threading.setprofile(_profile)
sys.setprofile(_profile)
