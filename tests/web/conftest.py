from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

LIB = Path(__file__).resolve().parents[2] / "web" / "lib"
LOOP = Path(__file__).with_name("node_loop.mjs")

JavaScript = Callable[..., Any]
"""Call as js(module, body, *arguments): `body` is a function of the module's exports and the arguments."""


def _node() -> str:
    """Return the Node.js that Playwright brings."""
    found = find_spec("playwright")
    assert found and found.origin, "The tests of web/ need Playwright."
    return str(Path(found.origin).parent / "driver" / ("node.exe" if os.name == "nt" else "node"))


@pytest.fixture(scope="session")
def node() -> Iterator[subprocess.Popen[str]]:
    """One process for all tests: to start it takes longer than any of them."""
    with subprocess.Popen(
        [_node(), str(LOOP)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as made:
        yield made
        made.kill()


@pytest.fixture
def js(node: subprocess.Popen[str]) -> JavaScript:
    def call(module: str, body: str, *arguments: Any) -> Any:
        assert node.stdin and node.stdout
        request = {"module": (LIB / f"{module}.js").as_uri(), "body": body, "args": arguments}
        node.stdin.write(json.dumps(request) + "\n")
        node.stdin.flush()
        answer = json.loads(node.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["result"]

    return call
