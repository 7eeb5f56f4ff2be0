"""Forbids Python's sockets to reach beyond this machine, in the process that runs this file.

It does not see child processes, browsers and libraries that are not written in Python. It imports nothing of the pack,
since in ComfyUI `nodes` is another module.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any

_NAMED = ("socket.getaddrinfo", "socket.gethostbyname")
_ADDRESSED = ("socket.connect", "socket.sendto", "socket.sendmsg")


def _forbid(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _NAMED:
        host = arguments[0]
    elif event in _ADDRESSED and isinstance(arguments[-1], tuple):
        host = arguments[-1][0]
    else:
        return
    name = host.decode() if isinstance(host, bytes) else host or "localhost"
    if name.endswith(".invalid"):  # reserved for names that do not exist
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    if name != "localhost" and not _is_here(name):
        # Not an OSError, which the code under test would take for a network that is down.
        raise AssertionError(f"A test reached for the network: {name}")


def _is_here(name: str) -> bool:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


sys.addaudithook(_forbid)
