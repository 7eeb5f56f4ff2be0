from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

LIB = Path(__file__).resolve().parents[2] / "web" / "lib"

JavaScript = Callable[..., Any]
"""Call as js(module, body, *arguments): `body` is a function of the module's exports and the arguments."""


def _node() -> str | None:
    """Return the Node.js that Playwright brings."""
    found = find_spec("playwright")
    folder = Path(found.origin).parent / "driver" if found and found.origin else Path()
    return next((str(path) for path in (folder / "node", folder / "node.exe") if path.is_file()), None)


NODE = _node()


@pytest.fixture
def js() -> JavaScript:
    if NODE is None:
        pytest.skip("needs Playwright, which brings a Node.js")

    def call(module: str, body: str, *arguments: Any) -> Any:
        source = f"""
            import * as lib from {json.dumps((LIB / f"{module}.js").as_uri())};
            const result = await ({body})(lib, ...{json.dumps(arguments)});
            process.stdout.write(JSON.stringify(result ?? null));
        """
        command = [NODE, "--input-type=module", "-"]
        done = subprocess.run(command, input=source, capture_output=True, encoding="utf-8", timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call
