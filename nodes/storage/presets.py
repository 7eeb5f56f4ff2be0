"""The upload services whose protocol is documented, from presets.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Preset:
    """An upload service.

    Attributes:
        source: page that documents the protocol.
        public: whether anyone who has the link can read the file.
        limits: what the service says about size and time, for the README.
        options: keys of [storage.http]; what the user sets wins.
    """

    title: str
    source: str
    public: bool
    limits: str
    options: Mapping[str, Any]


def load_presets() -> dict[str, Preset]:
    """Return all presets by name."""
    text = Path(__file__).with_name("presets.json").read_text(encoding="utf-8")
    return {name: Preset(**fields) for name, fields in json.loads(text).items()}
