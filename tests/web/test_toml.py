"""The lines to copy into config.toml are TOML with exactly these settings."""

from __future__ import annotations

from typing import Any

from nodes.config.reader import parse_toml
from nodes.config.writable import WRITABLE
from tests.web.conftest import JavaScript

TO_TOML = "({ toToml }, values) => toToml(values)"
ODD = (
    'with "quotes"',
    "back\\slash\\n",
    "tab\tand\nline",
    "猫 👍🏽",
    "\u2028 \x7f \x00",
    "# no comment",
    "[header]",
    "",
)


def nested(values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        *path, key = name.split(".")
        table = found
        for part in path:
            table = table.setdefault(part, {})
        table[key] = value
    return found


def test_toml_of_every_setting_reads_back(js: JavaScript) -> None:
    values = {name: 1.5 if one.kind == "number" else f"value of {name}" for name, one in WRITABLE.items()}
    assert parse_toml(js("toml", TO_TOML, values)) == nested(values)


def test_toml_of_odd_texts_and_numbers_reads_back(js: JavaScript) -> None:
    values: dict[str, Any] = {f"storage.http.t{number}": text for number, text in enumerate(ODD)}
    values |= {f"budget.n{number}": value for number, value in enumerate((0, 5, 0.1, 1e-7, 1e21, 123456789))}
    assert parse_toml(js("toml", TO_TOML, values)) == nested(values)


def test_toml_of_a_removed_setting_is_a_line_to_delete(js: JavaScript) -> None:
    text = js("toml", TO_TOML, {"budget.per_day_usd": None, "connection": "fal", "budget.per_run_usd": 2})
    assert text == 'connection = "fal"\n\n[budget]\n# per_day_usd\nper_run_usd = 2'
