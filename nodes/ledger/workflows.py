"""The workflows that tasks were requested with, so that the panel can open them again.

One file for each queued prompt, as ComfyUI's history has it, in a folder that is not served: widgets of other packs may
contain secrets. The video files stay as the service made them: nothing is written into them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.disk import remove, write_atomically
from ..core.folder_limit import FolderLimit

log = logging.getLogger(__name__)

KEPT = 10_000
"""Workflows of about 5 kB each; beyond this the oldest are deleted."""
KEPT_BYTES = 100_000_000
"""Of all together, compressed; beyond this the oldest are deleted."""
LARGEST_BYTES = 1_000_000
"""Of a workflow as JSON. Larger ones have media in them and are not kept."""


class Workflows:
    """Workflows in a folder, by the id of their prompt. May block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._limit = FolderLimit(".json.gz", files=KEPT, total_bytes=KEPT_BYTES)

    def keep(self, prompt_id: str, workflow: Mapping[str, Any]) -> None:
        """Keep the workflow of a prompt. A failure only shows in the log: a paid request must not depend on it."""
        try:
            path = self._path(prompt_id)
            text = json.dumps(workflow, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            data = text.encode("utf-8", "replace")
            if path.exists() or len(data) > LARGEST_BYTES:
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, gzip.compress(data, 6))
            self._limit.file_added(self._folder)
        except Exception as error:  # the request is reserved by now, and would never be sent
            log.info("Wan 2.7: the workflow of this run could not be kept: %s", error)

    def has(self, prompt_id: str) -> bool:
        """Return whether the workflow of a prompt was kept."""
        return bool(prompt_id) and self._path(prompt_id).is_file()

    def find(self, prompt_id: str) -> dict[str, Any] | None:
        """Return the workflow of a prompt, None if it was not kept."""
        if not prompt_id:
            return None
        try:
            found = json.loads(gzip.decompress(self._path(prompt_id).read_bytes()))
        except Exception as error:  # a damaged file fails in many ways
            log.debug("Wan 2.7: a workflow could not be read: %s", error)
            return None
        return found if isinstance(found, dict) else None

    def delete(self, prompt_id: str) -> None:
        """Delete the workflow of a prompt if it was kept and can be deleted."""
        remove(self._path(prompt_id))

    def _path(self, prompt_id: str) -> Path:
        # Clients choose the ids of their prompts, so only the hash becomes a name.
        return self._folder / f"{hashlib.sha256(prompt_id.encode('utf-8', 'replace')).hexdigest()[:32]}.json.gz"
