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
from ..core.limits import PRICE_PER_SECOND_USD, RESOLUTIONS
from .api_key import check_characters
from .reader import FILE_NAME, KEY_VARIABLE, SettingsReader
from .storage_options import SCALARS, TABLES, with_aws_variables

CONNECTIONS = ("auto", "novita", "sandbox")
STORAGES = ("auto", "s3", "http", "comfyui", "inline", "sandbox")


@dataclass(frozen=True)
class Novita:
    """Section [novita]. The key never shows in a repr."""

    api_key: str = field(default="", repr=False)
    base_url: str = "https://api.novita.ai"
    price_per_second: Mapping[str, float] = field(default_factory=lambda: dict(PRICE_PER_SECOND_USD))


@dataclass(frozen=True)
class StorageSettings:
    """Section [storage]. `options` are the tables below it, by kind; they may hold secrets and never show in a repr."""

    kind: str = STORAGES[0]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Polling:
    """Section [polling]: the first and the longest pause between two polls, in seconds."""

    first_seconds: float = 2.0
    longest_seconds: float = 15.0


@dataclass(frozen=True)
class Budget:
    """Section [budget]: the highest estimated cost of one queued prompt and of one day, in USD."""

    per_run_usd: float = 10.0
    per_day_usd: float = 50.0


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. `path` is the file, whether it exists or not."""

    path: Path
    connection: str = CONNECTIONS[0]
    novita: Novita = field(default_factory=Novita)
    storage: StorageSettings = field(default_factory=StorageSettings)
    polling: Polling = field(default_factory=Polling)
    budget: Budget = field(default_factory=Budget)
    warnings: tuple[str, ...] = ()

    @property
    def in_sandbox(self) -> bool:
        """Whether requests go to the sandbox: it is set, or `auto` is and there is no key."""
        return self.connection == "sandbox" or (self.connection == "auto" and not self.novita.api_key)


def load_settings(user_dir: Path, environ: Mapping[str, str]) -> Settings:
    """Read config.toml in `user_dir`, which need not exist, and the environment.

    Raises:
        SettingsError: the file cannot be read, or a value cannot be used.
    """
    path = user_dir / FILE_NAME
    reader = SettingsReader(path, environ)
    connection = reader.choice("connection", CONNECTIONS, Settings.connection)
    novita = _read_novita(reader)
    if connection == "novita" and not novita.api_key:
        raise SettingsError(
            f'connection = "novita" needs a key. Set api_key under [novita] in {path}, or {KEY_VARIABLE}. '
            'connection = "sandbox" works without one.'
        )
    longest = reader.number("polling.longest_seconds", Polling.longest_seconds, low=0.05)
    first = reader.number("polling.first_seconds", Polling.first_seconds, low=0.05)
    return Settings(
        path=path,
        connection=connection,
        novita=novita,
        storage=_read_storage(reader, environ),
        polling=Polling(min(first, longest), longest),
        budget=Budget(
            reader.number("budget.per_run_usd", Budget.per_run_usd),
            reader.number("budget.per_day_usd", Budget.per_day_usd),
        ),
        warnings=tuple(reader.unknown()),
    )


def _read_novita(reader: SettingsReader) -> Novita:
    api_key = reader.text("novita.api_key")
    check_characters(api_key, reader.label("novita.api_key"))
    return Novita(
        api_key=api_key,
        base_url=reader.text("novita.base_url", Novita.base_url).rstrip("/"),
        price_per_second={
            resolution: reader.number(f"novita.price_per_second.{resolution}", PRICE_PER_SECOND_USD[resolution])
            for resolution in RESOLUTIONS
        },
    )


def _read_storage(reader: SettingsReader, environ: Mapping[str, str]) -> StorageSettings:
    """Read the kind, and the options of every kind as they are: each storage checks its own when it is used."""
    options: dict[str, dict[str, Any]] = {}
    for kind, keys in SCALARS.items():
        found = {key: reader.value(f"storage.{kind}.{key}") for key in keys}
        found |= {key: reader.table(f"storage.{kind}.{key}") for key in TABLES.get(kind, ())}
        options[kind] = {key: value for key, value in found.items() if value is not None}
    options["s3"] = with_aws_variables(options["s3"], environ)
    return StorageSettings(reader.choice("storage.kind", STORAGES, StorageSettings.kind), options)
