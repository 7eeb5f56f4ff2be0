"""Write the example workflows, the subgraph blueprints and the thumbnails.

`python3 -m tests.host python -m tests.examples.build`
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.host.comfy import REPO

from . import blueprints, thumbnails, workflows

WORKFLOWS = REPO / "example_workflows"
BLUEPRINTS = REPO / "subgraphs"


def files() -> dict[Path, dict[str, Any]]:
    """Return the content of every file that is written here."""
    made = {WORKFLOWS / f"{name}.json": sheet.workflow() for name, sheet in workflows.sheets().items()}
    return made | {BLUEPRINTS / f"{name}.json": content for name, content in blueprints.files().items()}


def main() -> None:
    for path, content in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(path.relative_to(REPO))
    for path in thumbnails.write(WORKFLOWS):
        print(path.relative_to(REPO), path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
