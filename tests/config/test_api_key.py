from __future__ import annotations

from pathlib import Path

import pytest

from nodes.config import load_settings, remove_key, store_key
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


@pytest.mark.parametrize("case", FILES)
def test_store_key_changes_the_key_and_no_other_byte(case: str, tmp_path: Path) -> None:
    before, after = FILES[case]
    path = tmp_path / "config.toml"
    path.write_bytes(before.encode())

    store_key(tmp_path, "novita", KEY)

    assert path.read_bytes().decode() == after
    assert is_private(path)
    assert load_settings(tmp_path, {}).hosts["novita"].api_key == KEY
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"], "nothing is left beside it"


def test_store_key_creates_the_file_and_its_folder(tmp_path: Path) -> None:
    store_key(tmp_path / "new", "novita", KEY)

    assert load_settings(tmp_path / "new", {}).hosts["novita"].api_key == KEY


def test_remove_key_removes_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(COMMENTED)
    store_key(tmp_path, "novita", KEY)

    remove_key(tmp_path, "novita")
    remove_key(tmp_path, "novita")

    assert path.read_text() == COMMENTED


def test_remove_key_without_a_file_creates_none(tmp_path: Path) -> None:
    remove_key(tmp_path, "novita")

    assert list(tmp_path.iterdir()) == []


REFUSED = {
    "an array of tables": '[[novita]]\napi_key = "sk-older-key"\n',
    "not a table": 'novita = "sk-older-key"\n',
    "broken": "[novita\n",
}


@pytest.mark.parametrize("case", REFUSED)
def test_store_key_leaves_a_file_alone_that_it_cannot_change_safely(case: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(REFUSED[case])

    with pytest.raises(SettingsError) as error:
        store_key(tmp_path, "novita", KEY)

    assert path.read_text() == REFUSED[case]
    assert KEY not in str(error.value)


@pytest.mark.parametrize("key", ["", "short", "sk-with a space", "sk-with\nbreak-0123", "sk-schlüssel-0123", "x" * 513])
def test_store_key_refuses_what_is_not_a_key(key: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        store_key(tmp_path, "novita", key)

    assert list(tmp_path.iterdir()) == []


def test_store_key_keeps_quotes_and_backslashes(tmp_path: Path) -> None:
    odd = 'sk-"quoted"\\back'

    store_key(tmp_path, "novita", odd)

    assert load_settings(tmp_path, {}).hosts["novita"].api_key == odd


@pytest.mark.parametrize("host", list(HOSTS))
def test_store_key_of_every_host_and_of_no_other(host: str, tmp_path: Path) -> None:
    for other in HOSTS:
        store_key(tmp_path, other, f"sk-of-{other}-0123")
    store_key(tmp_path, host, KEY)
    keys = {name: load_settings(tmp_path, {}).hosts[name].api_key for name in HOSTS}
    assert keys == {name: KEY if name == host else f"sk-of-{name}-0123" for name in HOSTS}
    remove_key(tmp_path, host)
    assert load_settings(tmp_path, {}).hosts[host].api_key == ""
    assert len(load_settings(tmp_path, {}).keyed) == len(HOSTS) - 1
