"""config.toml and the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodes.config import Settings, load_settings
from nodes.config.writable import changed_text
from nodes.core.errors import SettingsError
from nodes.core.hosts import AUTO_ORDER, HOSTS
from tests.systems import refuse_reads


def load(tmp_path: Path, text: str = "", **environ: str) -> Settings:
    if text:
        (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    return load_settings(tmp_path, environ)


def test_load_settings_without_a_file_uses_the_sandbox(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.in_sandbox
    assert settings.hosts["novita"].base_url == "https://api.novita.ai"
    assert dict(settings.hosts["novita"].price_per_second) == {"720P": 0.10, "1080P": 0.15}
    assert (settings.polling.first_seconds, settings.polling.longest_seconds) == (2.0, 15.0)
    assert (settings.budget.per_run_usd, settings.budget.per_day_usd, settings.budget.min_balance_usd) == (10, 50, 0)
    assert not (tmp_path / "config.toml").exists()


def test_load_settings_uses_the_default_for_an_empty_address(tmp_path: Path) -> None:
    settings = load(tmp_path, '[kie]\nbase_url = ""\nupload_url = " "')
    assert (settings.hosts["kie"].base_url, settings.hosts["kie"].upload_url) == (
        HOSTS["kie"].base_url,
        HOSTS["kie"].upload_url,
    )


def test_load_settings_reads_a_file_with_everything(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
        connection = "novita"
        [novita]
        api_key = " sk-1 "
        base_url = "https://proxy.example/"
        price_per_second = { 720P = 0.2, 1080P = 1 }
        [storage]
        kind = "http"
        [storage.http]
        url = "https://host/up/{name}"
        headers = { Authorization = "Bearer up" }
        [polling]
        first_seconds = 1
        [budget]
        per_day_usd = 0
        min_balance_usd = 5
        """,
    )
    assert not settings.in_sandbox
    assert (settings.hosts["novita"].api_key, settings.hosts["novita"].base_url) == ("sk-1", "https://proxy.example")
    assert settings.hosts["novita"].price_per_second["1080P"] == 1.0
    assert settings.storage.options["http"]["headers"]["Authorization"] == "Bearer up"
    assert (settings.budget.per_day_usd, settings.budget.min_balance_usd) == (0.0, 5.0)
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("text", "environ", "sandbox"),
    [
        ("", {}, True),
        ("", {"NOVITA_API_KEY": "k"}, False),
        ('[novita]\napi_key = "k"', {}, False),
        ('connection = "sandbox"', {"NOVITA_API_KEY": "k"}, True),
        ('connection = "sandbox"', {"NOVITA_API_KEY": "k", "WAN27_CONNECTION": "auto"}, False),
        ("", {"NOVITA_API_KEY": "  "}, True),
    ],
)
def test_connection_auto_means_the_service_if_a_key_is_set(
    tmp_path: Path, text: str, environ: dict[str, str], sandbox: bool
) -> None:
    assert load(tmp_path, text, **environ).in_sandbox is sandbox


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        '[novita]\napi_key = "file"\n[budget]\nper_day_usd = 1',
        NOVITA_API_KEY="env",
        WAN27_NOVITA_BASE_URL="http://127.0.0.1:9",
        WAN27_BUDGET_PER_DAY_USD="2.5",
        WAN27_NOVITA_PRICE_PER_SECOND_720P="0.5",
    )
    assert settings.hosts["novita"].api_key == "env"
    assert settings.hosts["novita"].base_url == "http://127.0.0.1:9"
    assert settings.budget.per_day_usd == 2.5
    assert settings.hosts["novita"].price_per_second["720P"] == 0.5


@pytest.mark.parametrize(
    ("text", "environ", "named"),
    [
        ('connection = "vendor"', {}, "connection in"),
        ("connection = 7", {}, "one of auto, novita, ppio"),
        ('connection = "novita"', {}, "needs a key"),
        ('connection = "fal"\n[novita]\napi_key = "k"', {}, "FAL_KEY"),
        ("", {"FAL_KEY": "two words"}, "FAL_KEY contains characters"),
        ("", {"WAN27_KIE_PRICE_PER_SECOND_1080P": "-1"}, "WAN27_KIE_PRICE_PER_SECOND_1080P"),
        ("[novita]\napi_key = 5", {}, "novita.api_key"),
        ('[novita]\napi_key = "two words"', {}, "no API key has"),
        ("[polling]\nfirst_seconds = 0", {}, "polling.first_seconds"),
        ("[budget]\nper_run_usd = -1", {}, "at least 0"),
        ("[budget]\nper_run_usd = true", {}, "budget.per_run_usd"),
        ("", {"WAN27_BUDGET_PER_RUN_USD": "lots"}, "WAN27_BUDGET_PER_RUN_USD is 'lots'"),
        ("novita = 5", {}, "must be a section"),
        ('[storage]\nkind = "floppy"', {}, "storage.kind"),
        ("[novita", {}, "not valid TOML"),
    ],
)
def test_invalid_value_is_named_with_its_file_or_variable(
    tmp_path: Path, text: str, environ: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, **environ)
    assert named in str(caught.value)


def test_misspelt_name_gives_a_warning(tmp_path: Path) -> None:
    [warning] = load(tmp_path, "[budget]\nper_day_us = 5").warnings
    assert "budget.per_day_us is not a setting" in warning
    assert "budget.per_day_usd" in warning


def test_settings_repr_has_no_secret(tmp_path: Path) -> None:
    text = '[novita]\napi_key = "sk-secret"\n[storage.http]\nheaders = { A = "sk-secret" }'
    assert "sk-secret" not in repr(load(tmp_path, text))


def test_load_settings_refuses_a_folder_as_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "cp1252", "gbk"])
def test_load_settings_names_a_file_that_is_not_utf8(encoding: str, tmp_path: Path) -> None:
    """PowerShell 5 writes UTF-16, old editors the code page of the system."""
    (tmp_path / "config.toml").write_bytes('# für "中"\n'.encode(encoding, "ignore") + b"\xff")
    with pytest.raises(SettingsError, match=r"config\.toml is not UTF-8 text.*save it as UTF-8"):
        load_settings(tmp_path, {})
    with pytest.raises(SettingsError, match="is not UTF-8 text"):
        changed_text(tmp_path, {}, {"novita.api_key": "sk-0123456789"})


def test_load_settings_names_a_file_that_is_not_utf8_once(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("# notes", encoding="utf-16")
    with pytest.raises(SettingsError) as refused:
        load(tmp_path)
    assert str(refused.value).count("config.toml") == 1 and not str(refused.value).endswith("..")


def test_load_settings_waits_for_a_file_that_is_being_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text("[budget]\nper_run_usd = 1\n", encoding="utf-8")
    refuse_reads(monkeypatch, times=3)
    assert load_settings(tmp_path, {}).budget.per_run_usd == 1.0


def test_load_settings_reads_utf8_with_a_byte_order_mark_and_crlf(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes("\ufeff[budget]\r\nper_run_usd = 1 # für 中\r\n".encode())
    assert load_settings(tmp_path, {}).budget.per_run_usd == 1.0


def test_load_settings_warns_of_a_hidden_extension(tmp_path: Path) -> None:
    (tmp_path / "config.toml.txt").touch()
    assert "rename it to config.toml" in "".join(load_settings(tmp_path, {}).warnings)
    (tmp_path / "config.toml").touch()
    assert load_settings(tmp_path, {}).warnings == ()


def test_load_settings_that_cannot_be_read_says_why_without_repeating_the_path(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, {})
    assert str(caught.value).count("config.toml") == 1


@pytest.mark.parametrize("name", list(HOSTS))
def test_host_has_a_section_and_variables_of_its_own(name: str, tmp_path: Path) -> None:
    host = HOSTS[name]
    default = load(tmp_path).hosts[name]
    assert {key: getattr(default, key) for key in host.addresses} == host.addresses
    assert (default.host, default.api_key, default.price_per_second) == (host, "", host.prices)
    sections = "".join(f'{key} = "https://{key}.example/"\n' for key in host.addresses)
    text = f'[{name}]\napi_key = "k-file"\nprice_per_second = {{ 720P = 0.5 }}\n{sections}'
    settings = load(tmp_path, text)
    found = settings.hosts[name]
    assert settings.warnings == ()
    assert (found.api_key, found.price_per_second["720P"]) == ("k-file", 0.5)
    assert {key: getattr(found, key) for key in host.addresses} == {
        key: f"https://{key}.example" for key in host.addresses
    }
    variables = {f"WAN27_{name.upper()}_{key.upper()}": "https://env.example" for key in host.addresses}
    found = load(tmp_path, "", **variables, **{host.key_variable: "k-env"}).hosts[name]
    assert (found.api_key, found.base_url) == ("k-env", "https://env.example")


def test_auto_uses_the_only_key_and_prefers_hosts_with_uploads(tmp_path: Path) -> None:
    assert set(AUTO_ORDER) == set(HOSTS)
    environ: dict[str, str] = {}
    for name in reversed(AUTO_ORDER):
        environ[HOSTS[name].key_variable] = "k"
        settings = load(tmp_path, **environ)
        assert settings.current.host.name == name
        assert not settings.in_sandbox
        assert bool(settings.choice_note) == (len(environ) > 1)


def test_choice_between_several_keys_is_told_and_ends_with_the_setting(tmp_path: Path) -> None:
    environ = {"FAL_KEY": "k", "NOVITA_API_KEY": "k"}
    note = load(tmp_path, **environ).choice_note
    assert "fal and Novita AI" in note and "requests go to fal" in note and 'connection = "novita"' in note
    chosen = load(tmp_path, 'connection = "novita"', **environ)
    assert (chosen.current.host.name, chosen.choice_note) == ("novita", "")
    assert load(tmp_path, WAN27_CONNECTION="sandbox", **environ).choice_note == ""
