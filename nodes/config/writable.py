"""The settings that the panel may write to config.toml, with their current values and where these come from.

Everything else in the file, such as addresses that get the key of a host, is changed with an editor. The address of a
storage can be changed, but what was secret for the old one never goes to the new one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..core.errors import SettingsError
from ..core.hosts import HOSTS
from .api_key import check_key
from .file_edit import read_text, with_setting
from .reader import FILE_NAME, SettingsReader, variable_of
from .settings import CONNECTIONS, STORAGES, Budget, Settings, StorageSettings
from .storage_options import CHOICES, SCALARS

Value = str | float
Kind = Literal["choice", "number", "text", "secret"]

TEXT_CHARS = 2048
"""The longest text that is written."""

_TARGETS = ("storage.http.url", "storage.http.preset")
_SECRETS_OF_TARGET = ("storage.http.api_key", "storage.http.headers", "storage.http.form")
_SECRETS = ("api_key", "access_key_id", "secret_access_key", "session_token")


@dataclass(frozen=True)
class Setting:
    """One setting of the list.

    Attributes:
        name: path in config.toml, such as "budget.per_day_usd".
        kind: a secret can be written, but its value is never read.
        options: of a choice.
        default: what applies if it is not set, None if nothing does.
    """

    name: str
    kind: Kind
    options: tuple[str, ...] = ()
    default: Value | None = None

    @property
    def variable(self) -> str:
        """Return its environment variable, which wins over the file."""
        return variable_of(self.name)

    def check(self, value: object) -> Value:
        """Return a value as it is written. Raises SettingsError; that of a secret does not repeat it.

        Limits and the names of choices are checked when the changed file is read.
        """
        if self.name.removesuffix(".api_key") in HOSTS:
            return check_key(value)
        if self.kind == "number":
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise SettingsError(f"{self.name} must be a number.")
            return value
        text = value.strip() if isinstance(value, str) else ""
        if not (text and text.isprintable() and len(text) <= TEXT_CHARS):
            raise SettingsError(f"{self.name} must be one line of text with at most {TEXT_CHARS} characters.")
        return text


@dataclass(frozen=True)
class Current:
    """A setting and its value: None if nothing is set, or if it is a secret. A URL with a query may contain one."""

    setting: Setting
    value: Value | None
    source: Literal["environment", "file"] | None


def _settings() -> list[Setting]:
    found = [Setting("connection", "choice", CONNECTIONS, Settings.connection)]
    for host in HOSTS.values():
        found.append(Setting(f"{host.name}.api_key", "secret"))
        prices = host.prices.items()
        found += [Setting(f"{host.name}.price_per_second.{name}", "number", default=price) for name, price in prices]
    found.append(Setting("storage.kind", "choice", STORAGES, StorageSettings.kind))
    found += [_storage_setting(kind, key) for kind, keys in SCALARS.items() for key in keys]
    found += [Setting(f"budget.{key}", "number", default=value) for key, value in vars(Budget()).items()]
    return found


def _storage_setting(section: str, key: str) -> Setting:
    name = f"storage.{section}.{key}"
    if key in CHOICES:
        return Setting(name, "choice", CHOICES[key])
    return Setting(name, "number" if key == "expires_hours" else "secret" if key in _SECRETS else "text")


WRITABLE: Mapping[str, Setting] = {setting.name: setting for setting in _settings()}
"""Every setting that can be written, by its name."""


def current_values(user_dir: Path, environ: Mapping[str, str]) -> list[Current]:
    """Return all settings of the list as they are. Raises SettingsError if the file cannot be read."""
    reader = SettingsReader(user_dir / FILE_NAME, environ)
    return [_current(reader, setting) for setting in WRITABLE.values()]


def _current(reader: SettingsReader, setting: Setting) -> Current:
    value = reader.value(setting.name)
    if value is None or value == "":
        return Current(setting, None, None)
    readable = setting.kind != "secret" and isinstance(value, (str, int, float)) and "?" not in str(value)
    source: Literal["environment", "file"] = "environment" if reader.is_in_environment(setting.name) else "file"
    return Current(setting, value if readable else None, source)


def changed_text(user_dir: Path, environ: Mapping[str, str], changes: Mapping[str, Any]) -> str:
    """Return the text of config.toml with these values by name; None removes one. Writes nothing.

    Raises:
        SettingsError: a name is not in the list, a variable sets it, or the value cannot be used.
    """
    _check_target(SettingsReader(user_dir / FILE_NAME, environ), changes)
    text = read_text(user_dir)
    for name, value in changes.items():
        setting = WRITABLE.get(name)
        if setting is None:
            raise SettingsError(f"{name[:80]!r} is not a setting that can be changed here.")
        if environ.get(setting.variable, "").strip():
            raise SettingsError(
                f"{setting.variable} is set in the environment and wins over config.toml: change it there."
            )
        text = with_setting(text, name, None if value is None else setting.check(value))
    return text


def _check_target(reader: SettingsReader, changes: Mapping[str, Any]) -> None:
    """Raise SettingsError if a secret that is set already would go to another address than so far."""
    moved = [name for name in _TARGETS if name in changes and changes[name] != reader.value(name)]
    kept = [name for name in _SECRETS_OF_TARGET if reader.value(name) and name not in changes]
    if moved and kept:
        raise SettingsError(
            f"{' and '.join(kept)} would go to another address with the new {' and '.join(moved)}. Enter or remove it "
            "together with the address; headers and form are changed with an editor."
        )
