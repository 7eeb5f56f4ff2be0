"""Forbids the network beyond this machine, in the process that runs this file."""

from __future__ import annotations

import sys
from typing import Any

_HERE = ("", "localhost", "0.0.0.0", "::", "::1")


def _forbid(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    name = host.decode() if isinstance(host, bytes) else host or ""
    if name not in _HERE and not name.startswith("127."):
        # Not an OSError, which the code under test would take for a network that is down.
        raise AssertionError(f"A test reached for the network: {name}")


sys.addaudithook(_forbid)
