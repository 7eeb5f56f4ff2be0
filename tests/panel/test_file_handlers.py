"""The examples, requested over HTTP as the browser does."""

from __future__ import annotations

import json
from pathlib import Path

from tests.panel.conftest import Host


def test_examples_are_the_workflows_of_the_pack_and_nothing_else(host: Host) -> None:
    folder = Path(__file__).resolve().parents[2] / "example_workflows"
    for path in folder.glob("*.json"):
        assert host.get(f"/wan27/examples/{path.stem}") == json.loads(path.read_text(encoding="utf-8"))
    for name in ("none", "first_and_last_frame.jpg", "..%2Flocales%2Fzh%2Fmain", "*", "%2Fetc%2Fhosts"):
        assert host.ask("GET", f"/wan27/examples/{name}").status_code == 404
