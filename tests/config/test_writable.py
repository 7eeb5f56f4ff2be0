"""The settings that the panel may write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nodes.config import load_settings
from nodes.config.file_edit import write_text
from nodes.config.writable import WRITABLE, changed_text, current_values
from nodes.core.errors import SettingsError
from nodes.core.hosts import HOSTS
from tests.systems import is_private

KEY = "sk-0123456789abcdef"

COMMENTED = """\
# my settings
connection = "auto"   # the host

[novita] # the service
# base_url = "https://elsewhere.example"
price_per_second = { 720P = 0.08, 1080P = 0.12 }

[budget]
per_day_usd = 5.0
"""

# A file before and after a key is stored in it.
FILES = {
    "nothing": ("", f'[novita]\napi_key = "{KEY}"\n'),
    "other sections": ("[budget]\nper_run_usd = 1\n", f'[budget]\nper_run_usd = 1\n\n[novita]\napi_key = "{KEY}"\n'),
    "no line break at the end": ('connection = "auto"', f'connection = "auto"\n\n[novita]\napi_key = "{KEY}"\n'),
    "comments and order": (
        COMMENTED,
        COMMENTED.replace("[novita] # the service\n", f'[novita] # the service\napi_key = "{KEY}"\n'),
    ),
    "an older key": (
        '[novita]\napi_key = "sk-older-key" # mine\nbase_url = "https://a.example"\n',
        f'[novita]\napi_key = "{KEY}" # mine\nbase_url = "https://a.example"\n',
    ),
    "an empty key": ("[novita]\napi_key = ''\n", f'[novita]\napi_key = "{KEY}"\n'),
    "Windows line ends": (
        '[novita]\r\nbase_url = "https://a.example"\r\n',
        f'[novita]\r\napi_key = "{KEY}"\r\nbase_url = "https://a.example"\r\n',
    ),
    "an inline table": (
        'novita = { api_key = "sk-older-key", base_url = "https://a.example" } # mine\n',
        f'novita = {{ base_url = "https://a.example", api_key = "{KEY}" }} # mine\n',
    ),
    "a dotted key": ('novita.api_key = "sk-older-key" # mine\n', f'novita.api_key = "{KEY}" # mine\n'),
    "a multi-line text that looks like a key": (
        '[novita]\nbase_url = """\napi_key = "x"\n"""\n',
        f'[novita]\napi_key = "{KEY}"\nbase_url = """\napi_key = "x"\n"""\n',
    ),
    "a key of another section": (
        '[storage.http]\napi_key = "other"\n',
        f'[storage.http]\napi_key = "other"\n\n[novita]\napi_key = "{KEY}"\n',
    ),
}


def changed(tmp_path: Path, changes: dict[str, Any], environ: dict[str, str] | None = None) -> str:
    return changed_text(tmp_path, environ or {}, changes)


def write_key(tmp_path: Path, key: str | None, host: str = "novita") -> None:
    write_text(tmp_path, changed(tmp_path, {f"{host}.api_key": key}))


def test_writable_settings_have_no_address_that_gets_a_key() -> None:
    assert not [name for name in WRITABLE if name.split(".")[0] in HOSTS and name.endswith("_url")]
    secrets = {name for name, setting in WRITABLE.items() if setting.kind == "secret"}
    assert {name for name in WRITABLE if "key" in name or "token" in name or "secret" in name} == secrets
    assert {f"{host}.api_key" for host in HOSTS} < secrets


def test_every_writable_setting_is_read_back(tmp_path: Path) -> None:
    examples = {"choice": "", "number": 1.5, "text": "https://files.example/{name}", "secret": KEY}
    changes = {name: examples[one.kind] or one.options[-1] for name, one in WRITABLE.items()}
    (tmp_path / "config.toml").write_text(changed(tmp_path, changes))

    settings = load_settings(tmp_path, {})

    assert settings.warnings == ()
    assert settings.budget.per_day_usd == settings.hosts["fal"].price_per_second["1080P"] == 1.5
    assert settings.storage.options["s3"]["secret_access_key"] == settings.hosts["kie"].api_key == KEY
    found = {one.setting.name: one for one in current_values(tmp_path, {})}
    assert {one.source for one in found.values()} == {"file"}
    assert {name: one.value for name, one in found.items()} == {
        name: None if WRITABLE[name].kind == "secret" else value for name, value in changes.items()
    }


def test_current_values_show_no_secret_and_no_url_with_a_query(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        f'[fal]\napi_key = "{KEY}"\n[storage.http]\nurl = "https://a.example/?token={KEY}"\nmethod = "POST"\n'
    )

    found = current_values(tmp_path, {"WAN27_BUDGET_PER_DAY_USD": "7", "WAN27_STORAGE_S3_BUCKET": "b"})

    assert KEY not in repr(found)
    values = {one.setting.name: (one.value, one.source) for one in found if one.source}
    assert values == {
        "fal.api_key": (None, "file"),
        "storage.http.url": (None, "file"),
        "storage.http.method": ("POST", "file"),
        "storage.s3.bucket": ("b", "environment"),
        "budget.per_day_usd": ("7", "environment"),
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("novita.base_url", "https://evil.example"),
        ("storage.http.headers", "x"),
        ("budget", 5),
        ("", 5),
        ("budget.per_day_usd", "5"),
        ("budget.per_day_usd", True),
        ("budget.per_day_usd", float("nan")),
        ("budget.per_day_usd", {}),
        ("connection", ["fal"]),
        ("storage.s3.bucket", "two\nlines"),
        ("storage.s3.bucket", "\ud800"),
        ("storage.s3.bucket", "x" * 3000),
        ("storage.s3.bucket", " "),
        ("fal.api_key", "short"),
    ],
)
def test_changed_text_refuses_what_is_not_a_setting_or_a_value(name: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        changed(tmp_path, {name: value})


@pytest.mark.parametrize("key", ["sk-another-key-0123", None], ids=["set", "removed"])
def test_changed_text_refuses_what_the_environment_sets(key: str | None, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="FAL_KEY is set in the environment"):
        changed(tmp_path, {"fal.api_key": key}, {"FAL_KEY": KEY})


def test_changed_text_does_not_repeat_a_secret_in_its_refusal(tmp_path: Path) -> None:
    for name in ("fal.api_key", "storage.s3.secret_access_key"):
        with pytest.raises(SettingsError) as error:
            changed(tmp_path, {name: f"{KEY}\n{KEY}"})
        assert KEY not in str(error.value)


@pytest.mark.parametrize("address", ["url", "preset"])
@pytest.mark.parametrize(
    "secret", ['api_key = "k-0123456789"', 'headers = { Authorization = "Bearer k" }'], ids=["key", "headers"]
)
def test_secret_of_a_storage_does_not_follow_a_new_address(address: str, secret: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[storage.http]\nurl = "https://a.example/{{name}}"\n{secret}\n')
    value = "https://b.example/{name}" if address == "url" else "litterbox"

    with pytest.raises(SettingsError, match=r"would go to another address with the new storage\.http"):
        changed(tmp_path, {f"storage.http.{address}": value})

    assert changed(tmp_path, {"storage.http.url": "https://a.example/{name}", "storage.http.method": "POST"})
    if "api_key" in secret:
        for key in (KEY, None):
            assert changed(tmp_path, {f"storage.http.{address}": value, "storage.http.api_key": key})


def test_secret_of_a_storage_in_the_environment_does_not_follow_a_new_address(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"storage\.http\.api_key would go to another address"):
        changed(tmp_path, {"storage.http.url": "https://b.example/{name}"}, {"WAN27_STORAGE_HTTP_API_KEY": KEY})


@pytest.mark.parametrize("case", FILES)
def test_key_changes_no_other_byte_of_the_file(case: str, tmp_path: Path) -> None:
    before, after = FILES[case]
    path = tmp_path / "config.toml"
    path.write_bytes(before.encode())

    write_key(tmp_path, KEY)

    assert path.read_bytes().decode() == after
    assert is_private(path)
    assert load_settings(tmp_path, {}).hosts["novita"].api_key == KEY
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"], "nothing is left beside it"


def test_key_creates_the_file_and_its_folder(tmp_path: Path) -> None:
    write_key(tmp_path / "new", KEY)

    assert load_settings(tmp_path / "new", {}).hosts["novita"].api_key == KEY


def test_key_that_is_removed_takes_its_line_along(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(COMMENTED)
    write_key(tmp_path, KEY)

    write_key(tmp_path, None)
    write_key(tmp_path, None)

    assert path.read_text() == COMMENTED


REFUSED = {
    "an array of tables": '[[novita]]\napi_key = "sk-older-key"\n',
    "not a table": 'novita = "sk-older-key"\n',
    "broken": "[novita\n",
}


@pytest.mark.parametrize("case", REFUSED)
def test_key_leaves_a_file_alone_that_it_cannot_change_safely(case: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(REFUSED[case])

    with pytest.raises(SettingsError) as error:
        write_key(tmp_path, KEY)

    assert path.read_text() == REFUSED[case]
    assert KEY not in str(error.value)


def test_key_keeps_quotes_and_backslashes(tmp_path: Path) -> None:
    odd = 'sk-"quoted"\\back'

    write_key(tmp_path, odd)

    assert load_settings(tmp_path, {}).hosts["novita"].api_key == odd


@pytest.mark.parametrize("host", list(HOSTS))
def test_key_of_every_host_and_of_no_other(host: str, tmp_path: Path) -> None:
    for other in HOSTS:
        write_key(tmp_path, f"sk-of-{other}-0123", other)
    write_key(tmp_path, KEY, host)
    keys = {name: load_settings(tmp_path, {}).hosts[name].api_key for name in HOSTS}
    assert keys == {name: KEY if name == host else f"sk-of-{name}-0123" for name in HOSTS}
    write_key(tmp_path, None, host)
    assert load_settings(tmp_path, {}).hosts[host].api_key == ""
    assert len(load_settings(tmp_path, {}).keyed) == len(HOSTS) - 1
