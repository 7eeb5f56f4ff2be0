"""The workflows that tasks were requested with, so that the panel can open them again.

One file for each queued prompt, as ComfyUI's history has it, in a folder that is not served. The video files stay as
the service made them: nothing is written into them.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.atomic_write import write_atomically

log = logging.getLogger(__name__)

KEPT = 10_000
"""Workflows of about 5 kB each; beyond this the oldest are deleted."""
LARGEST_BYTES = 16_000_000
"""Of a workflow as JSON. Larger ones have media in them and are not kept."""


class Workflows:
    """Workflows in a folder, by the id of their prompt. May block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, prompt_id: str, workflow: Mapping[str, Any]) -> None:
        """Keep the workflow of a prompt. A failure only shows in the log: a paid request must not depend on it."""
        path = self._path(prompt_id)
        try:
            text = json.dumps(workflow, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            data = text.encode("utf-8", "replace")
            if path.exists() or len(data) > LARGEST_BYTES:
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, gzip.compress(data, 6))
            self._delete_oldest()
        except (OSError, ValueError, TypeError) as error:
            log.info("Wan 2.7: the workflow of this run could not be kept: %s", error)

    def find(self, prompt_id: str) -> dict[str, Any] | None:
        """Return the workflow of a prompt, None if it was not kept."""
        if not prompt_id:
            return None
        try:
            found = json.loads(gzip.decompress(self._path(prompt_id).read_bytes()))
        except (OSError, EOFError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _path(self, prompt_id: str) -> Path:
        # Clients choose the ids of their prompts, so only the hash becomes a name.
        return self._folder / f"{hashlib.sha256(prompt_id.encode('utf-8', 'replace')).hexdigest()[:32]}.json.gz"

    def _delete_oldest(self) -> None:
        entries = [entry for entry in os.scandir(self._folder) if entry.name.endswith(".json.gz")]
        if len(entries) > KEPT:
            entries.sort(key=lambda entry: entry.stat().st_mtime)
            for entry in entries[: len(entries) - KEPT]:
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()
