"""Runs in ComfyUI before any pack is loaded: keeps every warning of the process, and forbids the network.

ComfyUI logs the text alone, so a warning cannot be told from information by reading its log.
"""

from __future__ import annotations

import json
import logging
import runpy
from pathlib import Path

import folder_paths

_FILE = Path(folder_paths.base_path) / "warnings.jsonl"


class _Keep(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        line = {"logger": record.name, "level": record.levelname, "file": record.pathname}
        line["message"] = record.getMessage()
        with _FILE.open("a") as file:
            file.write(json.dumps(line) + "\n")


runpy.run_path(str(Path(__file__).resolve().parents[2] / "no_network.py"))
_FILE.write_text("")
logging.captureWarnings(True)
logging.getLogger().addHandler(_Keep(logging.WARNING))
logging.getLogger(__name__).warning("warnings are kept")
