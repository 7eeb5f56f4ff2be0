"""Changing one setting in files of every kind: nothing else in them changes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from nodes.config.file_edit import read_text, with_setting, write_text
from nodes.config.reader import parse_toml
from nodes.core.errors import SettingsError
from tests.systems import is_private, link_or_skip

VALUES = ("text", 'with "quotes" # and \\', "多", 0.15, 3, 1e-07)
NAMES = (
    "connection",
    "novita.api_key",
    "novita.price_per_second.720P",
    "budget.per_day_usd",
    "storage.kind",
    "storage.http.public_url",
)
COMMENTS = ("# [novita]", "# api_key = 'no'", "#", "# 720P = 1", "# é 多", "#[storage.http]")
OTHERS = (
    "list = [1, 2,\n  3] # of numbers",
    "date = 2026-01-02 03:04:05",
    'note = """\n[novita]\napi_key = "in a text"\n"""',
    "literal = '''\nkind = \"x\" # no comment\n'''",
    "inline = { a = 1, b = { c = [] } }",
    "on = true",
)


def random_file(chance: random.Random) -> str:
    """Write a file with comments, blank lines, unknown keys, and any of NAMES in any of the ways to write it."""

    def noise() -> list[str]:
        return [chance.choice((*COMMENTS, "", "  ")) for _ in range(chance.randrange(3))]

    def pair(key: str, value: str) -> str:
        key = chance.choice((key, key, f'"{key}"')) if "." not in key else key
        equals, comment = chance.choice((" = ", "=", "  =\t")), chance.choice(("", " # mine", "\t#x"))
        return f"{chance.choice(('', '', '  '))}{key}{equals}{value}{comment}"

    value = chance.choice(('"old"', "'old'", "1.5", "7", '"with # and \\""'))
    lines = noise() + ([pair("connection", value)] if chance.random() < 0.5 else []) + noise()
    if chance.random() < 0.2:
        lines.append(pair("storage.kind", value))
        storage_at_top = True
    else:
        storage_at_top = False
    if chance.random() < 0.3:
        lines.append(pair("novita", f'{{ api_key = {value}, price_per_second = {{ 720P = 1 }}, other = "o" }}'))
        sections = []
    else:
        prices = chance.choice(
            ("", pair("price_per_second", "{ 720P = 0.1, 1080P = 0.2 }"), pair("price_per_second.1080P", "2"))
        )
        sections = [["[novita]", *noise(), prices, chance.choice(("", pair("api_key", value)))]]
        if not prices and chance.random() < 0.5:
            sections.append(["[novita.price_per_second]", pair("720P", "1") if chance.random() < 0.5 else ""])
    sections += [["[budget] # of the day", *noise(), chance.choice(("", pair("per_day_usd", "5")))]]
    sections += [[] if storage_at_top else ["[ storage ]", chance.choice(("", pair("kind", value)))]]
    sections += [chance.choice(([], ["[storage.http]", pair("url", value), pair("headers", "{ X-A = 'b' }")]))]
    sections += [["[unknown]", *(text.replace(" = ", f"{number} = ", 1) for number, text in enumerate(OTHERS))]]
    chance.shuffle(sections)
    for section in sections:
        lines += [*noise(), *(section if chance.random() < 0.8 else [])]
    text = "\n".join(lines) + chance.choice(("", "\n", "\n\n"))
    text = chance.choice(("", "", "\ufeff")) + text
    return text.replace("\n", chance.choice(("\n", "\n", "\r\n")))


def comments(text: str) -> list[str]:
    return sorted(
        line.strip() for line in text.lstrip("\ufeff").splitlines() if line.lstrip("\ufeff \t").startswith("#")
    )


def get(table: object, name: str) -> object:
    for part in name.split("."):
        table = table.get(part) if isinstance(table, dict) else None
    return table


def test_with_setting_changes_one_setting_of_random_files_and_nothing_else() -> None:
    chance = random.Random(16)
    refused = 0
    for _ in range(3000):
        before = random_file(chance)
        name, value = chance.choice(NAMES), chance.choice((*VALUES, None))
        old = parse_toml(before.removeprefix("\ufeff"))
        try:
            after = with_setting(before, name, value)
        except SettingsError:
            refused += 1
            continue
        new = parse_toml(after.removeprefix("\ufeff"))

        assert get(new, name) == value
        for other in {*NAMES, "unknown", "novita.other", "storage.http.url", "storage.http.headers"} - {name}:
            assert get(new, other) == get(old, other), (name, other, before)
        assert comments(after) == comments(before)
        kept = before.lstrip("\ufeff").splitlines()
        changed = [line for line in kept if line not in after.lstrip("\ufeff").splitlines()]
        assert len(changed) <= 1, "one line changed at most"
        assert after.count("# mine") >= before.count("# mine") - (value is None)
        assert ("\r\n" in before) <= ("\n" not in after.replace("\r\n", ""))
        restored = with_setting(after, name, old_value) if (old_value := get(old, name)) is not None else before
        assert parse_toml(restored.removeprefix("\ufeff")) == old
    assert refused == 0, "any file with such contents can be changed"


@pytest.mark.parametrize(
    ("before", "name", "value", "after"),
    [
        ("", "connection", "fal", 'connection = "fal"\n'),
        ("# mine\n[budget]\n", "connection", "fal", 'connection = "fal"\n# mine\n[budget]\n'),
        ("[storage]\nkind = 'auto' # x\n", "storage.kind", "s3", '[storage]\nkind = "s3" # x\n'),
        ("[storage]\n", "storage.s3.bucket", "b", '[storage]\n\n[storage.s3]\nbucket = "b"\n'),
        ("[fal]\n", "fal.price_per_second.720P", 0.2, "[fal]\n\n[fal.price_per_second]\n720P = 0.2\n"),
        (
            "[fal]\nprice_per_second = { 720P = 0.1, 480P = 9 } # list\n",
            "fal.price_per_second.720P",
            0.2,
            "[fal]\nprice_per_second = { 480P = 9, 720P = 0.2 } # list\n",
        ),
        ("[budget]\nper_day_usd = 5 # a day\n", "budget.per_day_usd", 7.5, "[budget]\nper_day_usd = 7.5 # a day\n"),
        ("[budget]\nper_day_usd = 5\nper_run_usd = 1\n", "budget.per_day_usd", None, "[budget]\nper_run_usd = 1\n"),
    ],
    ids=["new file", "above a header", "choice", "new section", "price", "inline table", "number", "removed"],
)
def test_with_setting_writes_what_a_person_would(before: str, name: str, value: str | float | None, after: str) -> None:
    assert with_setting(before, name, value) == after


REFUSED = {
    "not TOML": "[budget\n",
    "a setting instead of the section": "budget = 5\n",
    "an array of tables": "[[budget]]\nper_day_usd = 5\n",
    "a value over lines": "[budget]\nper_day_usd = [\n5]\n",
}


@pytest.mark.parametrize("case", REFUSED)
def test_with_setting_refuses_what_it_cannot_change_safely(case: str) -> None:
    with pytest.raises(SettingsError):
        with_setting(REFUSED[case], "budget.per_day_usd", 7.0)


def test_write_text_keeps_a_link_and_is_private(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.toml"
    real.write_text("[budget]\n")
    link_or_skip(tmp_path / "config.toml", real)

    write_text(tmp_path, with_setting(read_text(tmp_path), "connection", "fal"))

    assert real.read_text() == 'connection = "fal"\n[budget]\n'
    assert (tmp_path / "config.toml").is_symlink()
    assert is_private(real)
