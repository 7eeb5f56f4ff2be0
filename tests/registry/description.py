"""What pyproject.toml tells the registry, and which placeholders are left in it.

`python -m tests.registry.description` is the last step before publishing: it names each placeholder that is left.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPO = Path(__file__).resolve().parents[2]
PLACEHOLDERS = ("example.com", "example-publisher")
"""A domain reserved for this use, so that no placeholder leads to another owner's page."""


def load(root: Path = REPO) -> dict[str, Any]:
    document: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return document


def placeholders(root: Path = REPO) -> Iterator[str]:
    """Yield each value that has to be replaced before a version can be published, as `key = value`."""
    document = load(root)
    shown = {**document["project"]["urls"], **document["tool"]["comfy"]}
    for key, value in shown.items():
        if any(placeholder in str(value) for placeholder in PLACEHOLDERS):
            yield f"{key} = {value!r}"


def main() -> int:
    left = list(placeholders())
    for line in left:
        print(f"pyproject.toml still has a placeholder: {line}", file=sys.stderr)
    if left:
        print('CONTRIBUTING.md, "Publishing", says what belongs there.', file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
