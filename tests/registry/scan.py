"""The words that the registry's scanner reports. It reads text, so comments, documentation and JSON count too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_NETWORK = "use httpx: client.request(…), client.stream(…)"
_SOCKET = "use asyncio's streams or httpx"
_ENVIRON = "`from os import environ`, then environ.get(…)"
_PROCESS = "the pack starts no programs; if it has to be another process, use multiprocessing"
_CODE = "never, not even as a method's name; a JavaScript RegExp has .test(…) and string.match(…)"

SPELLINGS = {
    "os.environ[": _ENVIRON,
    "os.environ.get(": _ENVIRON,
    "os.getenv(": _ENVIRON,
    "requests.get(": _NETWORK,
    "requests.post(": _NETWORK,
    "urlopen(": _NETWORK,
    "aiohttp.ClientSession": _NETWORK,
    "socket.socket(": _SOCKET,
    ".connect(": "`from sqlite3 import connect`, then connect(…)",
    ".bind(": "web.TCPSite(…) on the server; an arrow function in JavaScript",
    ".send(": _NETWORK,
    ".sendall(": _SOCKET,
    ".recv(": _SOCKET,
    "subprocess.": _PROCESS,
    "os.system(": _PROCESS,
    "eval(": _CODE,
    "exec(": _CODE,
    "importlib.import_module(": "a relative import",
    "raw.githubusercontent": "ship the file, or name another address",
    # Not one of the scanner's words, but the pack never asks for the user's Comfy account.
    "comfy" + "_org": "the pack has its own key, in nodes/config/settings.py",
}
"""Words, and what to write instead."""


@dataclass(frozen=True)
class Finding:
    file: str
    line: int
    spelling: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: `{self.spelling}` in: {self.text}\n    instead: {SPELLINGS[self.spelling]}"


def scan(root: Path, names: Iterable[str]) -> list[Finding]:
    """Find every spelling in these files; binary files are read byte by byte, as the scanner does."""
    found = []
    for name in names:
        text = (root / name).read_bytes().decode("utf-8", errors="replace")
        lowered = text.lower()
        for spelling in SPELLINGS:
            if spelling.lower() in lowered:
                found += _in_lines(name, text, spelling)
    return found


def _in_lines(name: str, text: str, spelling: str) -> list[Finding]:
    return [
        Finding(name, number, spelling, line.strip()[:120])
        for number, line in enumerate(text.splitlines(), start=1)
        if spelling.lower() in line.lower()
    ]


def report(findings: list[Finding]) -> str:
    return "The registry's scanner would reject this version:\n" + "\n".join(map(str, findings))
