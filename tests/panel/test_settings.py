"""The settings and the check of the tab, requested over HTTP as the browser does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nodes.core.hosts import HOSTS
from nodes.panel.settings import PARTS
from tests.panel.conftest import KEY, Host
from tests.service import Service
from tests.systems import is_private

TEXT = """\
# mine
[budget]
per_day_usd = 5.0 # a day
someday = 1 # not a setting

[storage.http]
url = "https://files.example/{name}"
headers = { X-Key = "up-secret" }
"""


def values(view: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one["value"] for one in view["settings"] if one["source"]}


def save(host: Host, changes: object) -> Any:
    return host.write("PUT", "/wan27/settings", {"set": changes})


def test_settings_of_a_new_installation_are_the_defaults(host: Host) -> None:
    view = host.get("/wan27/settings")

    assert values(view) == {}
    assert view["file"] == "user/config.toml"
    defaults = {one["name"]: one["default"] for one in view["settings"]}
    assert defaults["connection"] == defaults["storage.kind"] == "auto"
    assert defaults["budget.per_day_usd"] == 50.0
    assert defaults["kie.price_per_second.720P"] == 0.08
    assert [one["name"] for one in view["hosts"]] == list(HOSTS)
    offers = {one["name"]: (one["upload_hours"], one["reports_balance"]) for one in view["hosts"]}
    assert offers["novita"] == (None, True)
    assert offers["dashscope"] == (48.0, False)
    assert {one["name"]: one["needs_key"] for one in view["presets"]}["wavespeed"]
    assert view["checks"] == list(PARTS)


def test_settings_are_written_used_and_announced_and_the_rest_of_the_file_stays(host: Host) -> None:
    config = host.user / "config.toml"
    config.write_text(TEXT)

    answer = save(host, {"budget.per_day_usd": 8, "connection": "fal", "fal.api_key": KEY, "storage.kind": "inline"})

    assert answer.status_code == 200
    assert values(answer.json())["connection"] == "fal"
    assert KEY not in answer.text
    settings = host.process.settings()
    assert (settings.connection, settings.budget.per_day_usd, settings.storage.kind) == ("fal", 8.0, "inline")
    assert settings.hosts["fal"].api_key == KEY
    assert config.read_text() == (
        f'connection = "fal"\n{TEXT.replace("5.0", "8")}\n[fal]\napi_key = "{KEY}"\n\n[storage]\nkind = "inline"\n'
    )
    assert is_private(config)
    assert host.events == ["wan27.status"]

    assert save(host, {"budget.per_day_usd": None}).status_code == 200
    assert host.process.settings().budget.per_day_usd == 50.0


def test_key_is_stored_used_and_never_sent_back(host: Host) -> None:
    answer = save(host, {"novita.api_key": f"  {KEY}\n"})

    assert answer.status_code == 200
    assert KEY not in answer.text
    assert host.events == ["wan27.status"]
    assert host.process.settings().hosts["novita"].api_key == KEY
    assert is_private(host.user / "config.toml")
    status = host.get("/wan27/status")
    assert (status["key"]["last4"], status["connection"]["sandbox"]) == (KEY[-4:], False)

    answer = save(host, {"novita.api_key": None})

    assert answer.status_code == 200
    assert KEY not in (host.user / "config.toml").read_text()
    status = host.get("/wan27/status")
    assert (status["key"]["present"], status["connection"]["sandbox"]) == (False, True)
    assert host.events == ["wan27.status"] * 2


def test_key_that_is_stored_resumes_unfinished_tasks(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str] = []
    monkeypatch.setattr(
        host.process, "resume_unfinished", lambda: keys.append(host.process.settings().hosts["novita"].api_key)
    )

    save(host, {"novita.api_key": "short"})
    save(host, {"novita.api_key": KEY})

    assert keys == [KEY]


@pytest.mark.parametrize("key", ["short", 5, "", ["key"]], ids=["short", "number", "empty", "list"])
def test_key_refuses_what_is_not_a_key(key: object, host: Host) -> None:
    answer = save(host, {"novita.api_key": key})

    assert answer.status_code == 409
    assert answer.json()["error"]
    assert not (host.user / "config.toml").exists()


def test_key_of_the_environment_cannot_be_changed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVITA_API_KEY", KEY)

    changed = save(host, {"novita.api_key": "sk-another-key-0123"})
    removed = save(host, {"novita.api_key": None})
    key = host.get("/wan27/status")["key"]

    for answer in (changed, removed):
        assert answer.status_code == 409
        assert "NOVITA_API_KEY is set in the environment" in answer.json()["error"]
    assert key["source"] == "environment"
    assert not key["can_change"]
    assert not (host.user / "config.toml").exists()
    assert host.events == []


def test_key_of_each_host_is_stored_in_its_section(host: Host) -> None:
    answer = save(host, {"kie.api_key": KEY})
    status = host.get("/wan27/status")

    assert answer.status_code == 200
    assert (status["connection"]["name"], status["connection"]["host"]) == ("kie", "api.kie.ai")
    assert (status["key"]["variable"], status["key"]["last4"]) == ("KIE_API_KEY", KEY[-4:])
    assert status["prices"] == {"720P": 0.08, "1080P": 0.12}
    present = {each["name"]: each["key"]["present"] for each in status["hosts"]}
    assert present == {name: name == "kie" for name in HOSTS}

    save(host, {"kie.api_key": None})

    assert host.get("/wan27/status")["connection"]["name"] == "sandbox"


def test_key_of_the_host_that_is_set_can_be_removed_and_added(host: Host) -> None:
    save(host, {"connection": "replicate", "replicate.api_key": KEY})

    assert save(host, {"replicate.api_key": None}).status_code == 200

    assert KEY not in (host.user / "config.toml").read_text()
    status = host.get("/wan27/status")
    assert "needs a key" in status["problem"]
    assert status["key"]["variable"] == "REPLICATE_API_TOKEN"

    assert save(host, {"replicate.api_key": KEY}).status_code == 200

    assert host.get("/wan27/status")["connection"]["name"] == "replicate"


def test_key_is_not_removed_with_a_bad_change(host: Host) -> None:
    save(host, {"fal.api_key": KEY})
    assert save(host, {"fal.api_key": None, "connection": "fal"}).status_code == 409

    save(host, {"connection": "fal"})
    assert save(host, {"fal.api_key": None, "budget.per_day_usd": -1}).status_code == 409

    settings = host.process.settings()
    assert (settings.hosts["fal"].api_key, settings.budget.per_day_usd) == (KEY, 50.0)


def test_keys_are_removed_together_and_with_other_changes(host: Host) -> None:
    save(host, {"connection": "fal", "fal.api_key": KEY, "kie.api_key": KEY})

    assert save(host, {"fal.api_key": None, "kie.api_key": None, "budget.per_day_usd": 7}).status_code == 200

    text = (host.user / "config.toml").read_text()
    assert KEY not in text
    assert "per_day_usd = 7" in text


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ('connection = "novita"\n[budget]\nper_day_usd = -1\n', {"novita.api_key": KEY}),
        ('[novita]\napi_key = "two words"\n[kie]\napi_key = "two more"\n', {"novita.api_key": KEY}),
        ('[novita]\napi_key = "two words"\n[kie]\napi_key = "two more"\n', {"kie.api_key": None}),
        ("[budget]\nper_day_usd = -1\nper_run_usd = -1\n", {"budget.per_run_usd": 3}),
    ],
    ids=["a key beside a budget", "the first of two keys", "the second of two keys", "the first of two budgets"],
)
def test_settings_are_changed_although_others_are_wrong(text: str, changes: dict[str, Any], host: Host) -> None:
    config = host.user / "config.toml"
    config.write_text(text)

    assert save(host, changes).status_code == 200

    sources = {each["name"]: each["source"] for each in host.get("/wan27/settings")["settings"]}
    for name, value in changes.items():
        assert sources[name] == (None if value is None else "file")


def test_key_that_is_removed_without_a_file_creates_none(host: Host) -> None:
    assert save(host, {"novita.api_key": None}).status_code == 200

    assert list(host.user.iterdir()) == []


def test_key_leaves_a_file_alone_that_cannot_be_changed_safely(host: Host) -> None:
    config, text = host.user / "config.toml", 'novita = "sk-older-key"\n'
    config.write_text(text)

    answer = save(host, {"novita.api_key": KEY})

    assert answer.status_code == 409
    assert "with an editor" in answer.json()["error"]
    assert not [each for each in (KEY, "sk-older-key", str(host.user)) if each in answer.text]
    assert config.read_text() == text
    assert host.events == []


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown setting": ({"novita.base_url": "https://evil.example"}, "not a setting that can be changed here"),
    "an unknown host": ({"../elsewhere.api_key": KEY}, "not a setting that can be changed here"),
    "a bad choice": ({"connection": "elsewhere"}, "must be one of auto, novita"),
    "a host without a key": ({"connection": "fal"}, "needs a key"),
    "a negative budget": ({"budget.per_day_usd": -1}, "at least 0"),
    "a text as a number": ({"budget.per_day_usd": "5"}, "must be a number"),
    "a short key": ({"fal.api_key": "short"}, "8 to 512 characters"),
    "s3 without a bucket": ({"storage.kind": "s3"}, "needs a bucket"),
    "an unknown preset": ({"storage.kind": "http", "storage.http.preset": "elsewhere"}, "must be one of"),
    "a preset without its key": ({"storage.kind": "http", "storage.http.preset": "wavespeed"}, "requires a key"),
    "an address that is none": ({"storage.kind": "comfyui", "storage.comfyui.public_url": "here"}, "http(s) URL"),
    "one of two that is bad": ({"budget.per_run_usd": 1, "budget.per_day_usd": -1}, "at least 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_refuse_a_bad_change_and_write_nothing(case: str, host: Host) -> None:
    changes, text = REFUSED[case]
    config = host.user / "config.toml"
    config.write_text("[budget]\nper_day_usd = 5.0\n")

    answer = save(host, changes)

    assert answer.status_code == 409
    assert text in answer.json()["error"]
    assert str(host.user) not in answer.text
    assert config.read_text() == "[budget]\nper_day_usd = 5.0\n"
    assert host.events == []


@pytest.mark.parametrize("body", [{}, {"set": 5}, {"set": ["connection"]}, ["set"], "text"])
def test_settings_refuse_a_request_without_settings(body: Any, host: Host) -> None:
    assert host.write("PUT", "/wan27/settings", body).status_code == 400


def test_settings_of_the_environment_are_shown_and_cannot_be_changed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAN27_BUDGET_PER_DAY_USD", "7")

    (shown,) = [one for one in host.get("/wan27/settings")["settings"] if one["name"] == "budget.per_day_usd"]
    answer = save(host, {"budget.per_day_usd": 8})

    assert (shown["value"], shown["source"], shown["variable"]) == ("7", "environment", "WAN27_BUDGET_PER_DAY_USD")
    assert answer.status_code == 409
    assert "WAN27_BUDGET_PER_DAY_USD is set in the environment" in answer.json()["error"]


def test_settings_that_were_wrong_before_do_not_prevent_another_change(host: Host) -> None:
    (host.user / "config.toml").write_text('connection = "fal"\n')

    assert save(host, {"budget.per_day_usd": 8}).status_code == 200
    assert save(host, {"fal.api_key": KEY}).status_code == 200

    assert host.process.settings().current.host.name == "fal"


def test_settings_show_texts_on_this_machine_only_and_no_secret(host: Host) -> None:
    (host.user / "config.toml").write_text(f'{TEXT}api_key = "{KEY}"\n')

    here = host.get("/wan27/settings")
    elsewhere = host.get("/wan27/settings", headers={"X-Forwarded-For": "203.0.113.5"})

    assert values(here)["storage.http.url"] == "https://files.example/{name}"
    assert values(here)["storage.http.api_key"] is None
    assert values(elsewhere)["storage.http.url"] is None
    assert values(elsewhere)["budget.per_day_usd"] == 5.0
    assert (here["may_write"], elsewhere["may_write"]) == (True, False)
    assert not [view for view in (here, elsewhere) if KEY in json.dumps(view) or "up-secret" in json.dumps(view)]


def test_check_of_the_sandbox_in_parts(host: Host) -> None:
    found = {part: host.write("POST", "/wan27/check", {"part": part}).json() for part in PARTS}

    assert [found[part]["what"] for part in PARTS] == list(PARTS)
    assert all(finding["ok"] for finding in found.values())
    assert "the sandbox" in found["key"]["text"]
    assert str(host.user) not in json.dumps(found)


def test_check_of_a_host_asks_for_the_balance_and_posts_nothing(host: Host, service: Service) -> None:
    (host.user / "config.toml").write_text(f'[novita]\napi_key = "{KEY}"\nbase_url = "{service.url}"\n')

    key = host.write("POST", "/wan27/check", {"part": "key"}).json()

    assert key["ok"]
    assert "Balance: $" in key["text"]
    assert service.posts() == []
    service.faults({"at": "balance", "kind": "unauthorized", "count": None})
    refused = host.write("POST", "/wan27/check", {"part": "key"}).json()
    assert not refused["ok"]
    assert "api_key under [novita]" in refused["setting"]
    assert KEY not in json.dumps([key, refused])


def test_check_names_settings_that_cannot_be_used(host: Host) -> None:
    (host.user / "config.toml").write_text('connection = "elsewhere"\n')

    finding = host.write("POST", "/wan27/check", {"part": "settings"}).json()

    assert not finding["ok"]
    assert "elsewhere" in finding["text"]


@pytest.mark.parametrize("body", [{}, {"part": "everything"}, {"part": 5}])
def test_check_of_an_unknown_part_is_refused(body: Any, host: Host) -> None:
    answer = host.write("POST", "/wan27/check", body)

    assert answer.status_code == 409
    assert "must be one of settings, key" in answer.json()["error"]
