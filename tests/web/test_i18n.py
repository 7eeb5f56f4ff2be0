"""Texts in two languages, and how money and times are written."""

from __future__ import annotations

import re

import pytest

from tests.web.conftest import LIB, JavaScript

SOURCES = {path.name: path.read_text(encoding="utf-8") for path in sorted([*LIB.glob("*.js"), LIB.parent / "wan27.js"])}


@pytest.fixture
def tables(js: JavaScript) -> tuple[dict[str, str], dict[str, str]]:
    english, chinese = js("i18n", "({ TABLES }) => [TABLES.EN, TABLES.ZH]")
    return english, chinese


def test_i18n_has_every_text_in_both_languages(tables: tuple[dict[str, str], dict[str, str]]) -> None:
    english, chinese = tables
    assert set(english) == set(chinese)
    for name, text in english.items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", chinese[name])), name


def test_i18n_has_every_text_that_is_used_and_no_other(tables: tuple[dict[str, str], dict[str, str]]) -> None:
    english, _ = tables
    code = "\n".join(text for name, text in SOURCES.items() if name != "i18n.js")
    # Names that are put together, such as t(`state_${state}`); those of the settings' choices even of two parts.
    beginnings = {"connection_", "kind_", *re.findall(r"`(\w+)\$\{", code)}
    assert {name for name in re.findall(r'\bt\("(\w+)"', code) if name not in english} == set()
    unused = {
        name
        for name in english
        if f'"{name}"' not in code + SOURCES["i18n.js"].partition("let language")[2]
        and not any(name.startswith(start) for start in beginnings)
    }
    assert unused == set()


@pytest.mark.parametrize(
    ("language", "text"),
    [("en", "12 tasks"), ("en-GB", "12 tasks"), ("zh", "12 个任务"), ("zh-TW", "12 个任务"), ("fr", "12 tasks")],
)
def test_t_follows_the_language(language: str, text: str, js: JavaScript) -> None:
    body = "({ t, useLanguage }, language) => (useLanguage(() => language), t('count', { count: 12 }))"
    assert js("i18n", body, language) == text


def test_t_leaves_what_it_does_not_know(js: JavaScript) -> None:
    assert js("i18n", "({ t }) => [t('no such text'), t('count', {}), t('count', { count: '{tasks}' })]") == [
        "no such text",
        "{count} tasks",
        "{tasks} tasks",
    ]


MONEY = {
    0: "0.00",
    0.1: "0.10",
    0.5: "0.50",
    0.0825: "0.083",
    0.125: "0.125",
    12.345: "12.345",
    999.99: "999.99",
    1234.5: "1235",
}
EXACT = {
    0: "0.00",
    0.1: "0.10",
    5: "5.00",
    0.15: "0.15",
    0.0825: "0.0825",
    12.345: "12.345",
    1e-7: "1e-7",
    1e21: "1e+21",
}


def test_money_has_cents(js: JavaScript) -> None:
    assert js("i18n", "({ money }, all) => all.map(money)", list(MONEY)) == list(MONEY.values())


def test_exact_money_has_cents_and_is_not_rounded(js: JavaScript) -> None:
    assert js("i18n", "({ exactMoney }, all) => all.map(exactMoney)", list(EXACT)) == list(EXACT.values())


def test_ago_counts_in_whole_units(js: JavaScript) -> None:
    seconds = [0, 59, 60, 3599, 3600, 86399, 86400, 10 * 86400]
    shown = js("i18n", "({ ago }, all) => all.map(ago)", seconds)
    assert shown == ["just now", "just now", "1 min ago", "59 min ago", "1 h ago", "23 h ago", "1 d ago", "10 d ago"]


def test_moment_names_the_day_only_if_it_is_another_one(js: JavaScript) -> None:
    now, before = js("i18n", "({ moment }) => [moment(Date.now() / 1000), moment(1770000000)]")
    assert re.fullmatch(r"\d\d:\d\d\s[AP]M", now)
    assert re.match(r"Feb \d", before)
