"""Upload services whose protocol is documented, as data: see presets.json, where each names its source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("presets.json")


@dataclass(frozen=True)
class Preset:
    """Values for [storage.http].

    Attributes:
        source: page that documents the protocol.
        public: anyone who has the link can read the file.
        limits: what the service says about size and time, for the README.
        options: keys of [storage.http]; what the user sets wins.
    """

    title: str
    source: str
    public: bool
    limits: str
    options: Mapping[str, Any]


def load_presets() -> dict[str, Preset]:
    """All presets by name."""
    return {name: Preset(**fields) for name, fields in json.loads(FILE.read_text(encoding="utf-8")).items()}
