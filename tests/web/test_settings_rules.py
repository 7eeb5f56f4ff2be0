"""Which settings the form shows, for every host and every storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nodes.config.settings import STORAGES
from nodes.core.hosts import HOSTS
from nodes.panel.settings import settings_view
from tests.web.conftest import JavaScript

SHOWN = """({ shownHost, namesToShow }, view, chosen, inUse, kind, presetName) => {
    const preset = view.presets.find(one => one.name === presetName);
    return namesToShow(view, { host: shownHost(view, chosen, inUse), kind, preset });
}"""


@pytest.fixture
def view(tmp_path: Path) -> dict[str, Any]:
    return settings_view(tmp_path, local=True)


@pytest.mark.parametrize("host", HOSTS)
def test_settings_of_a_host_are_its_key_and_prices(host: str, view: dict[str, Any], js: JavaScript) -> None:
    prices = [f"{host}.price_per_second.{name}" for name in HOSTS[host].prices]
    expected = ["connection", f"{host}.api_key", *prices]
    assert js("settings_rules", SHOWN, view, host, "sandbox", "auto", None)["host"] == expected
    assert js("settings_rules", SHOWN, view, "auto", host, "auto", None)["host"] == expected


@pytest.mark.parametrize("chosen", ["auto", "sandbox"])
def test_settings_without_a_host_have_no_key(chosen: str, view: dict[str, Any], js: JavaScript) -> None:
    assert js("settings_rules", SHOWN, view, chosen, "sandbox", "auto", None)["host"] == ["connection"]


def test_settings_of_a_storage_are_all_that_can_be_written(view: dict[str, Any], js: JavaScript) -> None:
    names = [one["name"] for one in view["settings"]]
    for kind in STORAGES:
        shown = js("settings_rules", SHOWN, view, "fal", "fal", kind, None)
        below = [name for name in names if name.startswith(f"storage.{kind}.")]
        assert sorted(shown["storage"] + shown["rare"]) == sorted(["storage.kind", *below]), kind
        assert shown["budget"] == [name for name in names if name.startswith("budget.")]


def test_settings_of_a_preset_are_what_it_leaves_open(view: dict[str, Any], js: JavaScript) -> None:
    free = js("settings_rules", SHOWN, view, "fal", "fal", "http", "litterbox")
    with_key = js("settings_rules", SHOWN, view, "fal", "fal", "http", "wavespeed")
    assert free["storage"] == ["storage.kind", "storage.http.preset"]
    assert with_key["storage"] == [*free["storage"], "storage.http.api_key"]
    assert free["rare"] == with_key["rare"] == ["storage.http.expires_hours"]

    (key,) = [one for one in view["settings"] if one["name"] == "storage.http.api_key"]
    key["source"] = "file"
    stored = js("settings_rules", SHOWN, view, "fal", "fal", "http", "litterbox")
    assert stored["storage"] == with_key["storage"], "a stored key can be removed"


def test_offer_of_each_host_says_what_it_takes_and_reports(view: dict[str, Any], js: JavaScript) -> None:
    offers = dict(js("settings_rules", "({ offerOf }, view) => view.hosts.map(one => [one.name, offerOf(one)])", view))
    assert offers["novita"] == "takes no uploads: audio and video need a storage · reports the balance"
    assert offers["dashscope"].startswith("takes uploads, keeps them 48 h · does not report the balance")
    assert all("{" not in text for text in offers.values())


VALUES = {
    ("budget.per_day_usd", 5): "5.00",
    ("budget.per_day_usd", "7"): "7.00",
    ("budget.per_day_usd", "seven"): "seven",
    ("fal.price_per_second.720P", 0.1): "0.10",
    ("fal.price_per_second.720P", 0.0825): "0.0825",
    ("storage.s3.expires_hours", 24): "24",
    ("storage.s3.bucket", "films"): "films",
    ("storage.s3.bucket", None): "",
}


def test_shown_value_has_the_cents_of_money(js: JavaScript) -> None:
    body = "({ shownValue }, cases) => cases.map(([name, value]) => shownValue(name, value))"
    assert js("settings_rules", body, list(VALUES)) == list(VALUES.values())


def test_saved_text_says_where_requests_go(js: JavaScript) -> None:
    body = "({ savedText }, all) => all.map(savedText)"
    statuses = [None, {"connection": {"sandbox": True}}, {"connection": {"sandbox": False, "host": "fal.run"}}]
    nowhere, sandbox, billed = js("settings_rules", body, statuses)
    assert nowhere == "The settings are saved."
    assert sandbox.endswith("Requests stay in the sandbox.")
    assert billed.endswith("Requests go to fal.run and are billed.")
