"""Settings from config.toml and the environment. An environment variable wins over the file.

The file is in the pack's own folder under ComfyUI's user directory, which ComfyUI does not serve over HTTP. None of
these settings is ever a widget or a setting of ComfyUI: those end up in shared workflows and reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import SettingsError
from ..core.hosts import AUTO_ORDER, HOSTS, SANDBOX, Host
from ..core.limits import RESOLUTIONS
from .api_key import check_characters
from .reader import FILE_NAME, SettingsReader
from .storage_options import SCALARS, TABLES, with_aws_variables

CONNECTIONS = ("auto", *HOSTS, SANDBOX)
STORAGES = ("auto", "s3", "http", "comfyui", "inline", "sandbox")


@dataclass(frozen=True)
class HostSettings:
    """The section of one host. The key never shows in a repr. The addresses are "" if the host has no such address."""

    host: Host
    api_key: str = field(repr=False)
    price_per_second: Mapping[str, float]
    base_url: str
    upload_url: str = ""
    list_url: str = ""


@dataclass(frozen=True)
class StorageSettings:
    """Section [storage]. `options` are the tables below it, by kind; they may hold secrets and never show in a repr."""

    kind: str = STORAGES[0]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Polling:
    """Section [polling]: the first and the longest pause between two polls of a task, in seconds."""

    first_seconds: float = 2.0
    longest_seconds: float = 15.0


@dataclass(frozen=True)
class Budget:
    """Section [budget], in USD.

    Attributes:
        per_run_usd: highest estimated cost of one queued prompt.
        per_day_usd: highest estimated cost of one day.
        min_balance_usd: what must stay in the account; 0 sends without looking at the balance.
    """

    per_run_usd: float = 10.0
    per_day_usd: float = 50.0
    min_balance_usd: float = 0.0


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. `path` is the file, whether it exists or not."""

    path: Path
    connection: str = CONNECTIONS[0]
    hosts: Mapping[str, HostSettings] = field(default_factory=dict)
    storage: StorageSettings = field(default_factory=StorageSettings)
    polling: Polling = field(default_factory=Polling)
    budget: Budget = field(default_factory=Budget)
    warnings: tuple[str, ...] = ()

    @property
    def in_sandbox(self) -> bool:
        """Whether requests go to the sandbox: it is set, or `auto` is and there is no key."""
        return self.connection == SANDBOX or (self.connection == "auto" and not self.keyed)

    @property
    def current(self) -> HostSettings:
        """The host that requests go to; in the sandbox the one whose prices and limits apply there."""
        name = self.connection if self.connection in self.hosts else next(iter(self.keyed), next(iter(HOSTS)))
        return self.hosts[name]

    @property
    def keyed(self) -> list[str]:
        """The hosts that have a key, the one that `auto` prefers first."""
        return [name for name in AUTO_ORDER if self.hosts[name].api_key]

    @property
    def choice_note(self) -> str:
        """What to tell the user if `auto` chose between several keys, else ""."""
        if self.connection != "auto" or len(self.keyed) < 2:
            return ""
        titles = [self.hosts[name].host.title for name in self.keyed]
        return (
            f"There are keys for {', '.join(titles[:-1])} and {titles[-1]}: requests go to {titles[0]}. To choose, set "
            f'connection = "{self.keyed[1]}" (or one of {", ".join(self.keyed)}) in config.toml.'
        )


class MissingKeyError(SettingsError):
    """The host that `connection` names has no key."""

    def __init__(self, host: Host, path: Path) -> None:
        super().__init__(
            f'connection = "{host.name}" needs a key. Set api_key under [{host.name}] in {path}, or '
            f'{host.key_variable}. connection = "sandbox" works without one.'
        )
        self.host = host


def load_settings(user_dir: Path, environ: Mapping[str, str], *, text: str | None = None) -> Settings:
    """Read config.toml in `user_dir`, which need not exist, and the environment.

    `text` is what the file would contain, to try a change before it is written.

    Raises:
        SettingsError: the file cannot be read, or a value cannot be used.
    """
    path = user_dir / FILE_NAME
    reader = SettingsReader(path, environ, text=text)
    connection = reader.choice("connection", CONNECTIONS, Settings.connection)
    hosts = {host.name: _read_host(reader, host) for host in HOSTS.values()}
    if connection in hosts and not hosts[connection].api_key:
        raise MissingKeyError(HOSTS[connection], path)
    longest = reader.number("polling.longest_seconds", Polling.longest_seconds, low=0.05)
    first = reader.number("polling.first_seconds", Polling.first_seconds, low=0.05)
    return Settings(
        path=path,
        connection=connection,
        hosts=hosts,
        storage=_read_storage(reader, environ),
        polling=Polling(min(first, longest), longest),
        budget=Budget(
            reader.number("budget.per_run_usd", Budget.per_run_usd),
            reader.number("budget.per_day_usd", Budget.per_day_usd),
            reader.number("budget.min_balance_usd", Budget.min_balance_usd),
        ),
        warnings=tuple(reader.unknown()),
    )


def _read_host(reader: SettingsReader, host: Host) -> HostSettings:
    api_key = reader.text(f"{host.name}.api_key")
    check_characters(api_key, reader.label(f"{host.name}.api_key"))
    prices = {
        resolution: reader.number(f"{host.name}.price_per_second.{resolution}", host.prices[resolution])
        for resolution in RESOLUTIONS
    }
    addresses = {key: (reader.text(f"{host.name}.{key}") or url).rstrip("/") for key, url in host.addresses.items()}
    return HostSettings(host, api_key, prices, **addresses)


def _read_storage(reader: SettingsReader, environ: Mapping[str, str]) -> StorageSettings:
    """Read the kind, and the options of every kind as they are: each storage checks its own when it is used."""
    options: dict[str, dict[str, Any]] = {}
    for kind, keys in SCALARS.items():
        found = {key: reader.value(f"storage.{kind}.{key}") for key in keys}
        found |= {key: reader.table(f"storage.{kind}.{key}") for key in TABLES.get(kind, ())}
        options[kind] = {key: value for key, value in found.items() if value is not None}
    options["s3"] = with_aws_variables(options["s3"], environ)
    return StorageSettings(reader.choice("storage.kind", STORAGES, StorageSettings.kind), options)
