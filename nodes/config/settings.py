"""Settings from config.toml and the environment. An environment variable wins over the file.

The file is `config.toml` in the pack's own folder under ComfyUI's user directory, which ComfyUI does not serve over
HTTP. Nothing here is ever a widget or one of ComfyUI's own settings: those end up in shared workflows and reports.

Each value has an environment variable: WAN27_ and its path in the file, such as WAN27_BUDGET_PER_DAY_USD or
WAN27_STORAGE_KIND. The key is NOVITA_API_KEY, as with the vendor's other tools. For an s3 storage, the variables of the
AWS tools fill what is set nowhere else.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import SettingsError
from ..core.limits import PRICE_PER_SECOND_USD, RESOLUTIONS
from .storage_options import SCALARS, TABLES, with_aws_variables

CONNECTIONS = ("auto", "novita", "sandbox")
STORAGES = ("auto", "s3", "http", "comfyui", "inline", "sandbox")
FILE_NAME = "config.toml"


@dataclass(frozen=True)
class Novita:
    """Section [novita]. The key never shows in a repr."""

    api_key: str = field(default="", repr=False)
    base_url: str = "https://api.novita.ai"
    price_per_second: Mapping[str, float] = field(default_factory=lambda: dict(PRICE_PER_SECOND_USD))


@dataclass(frozen=True)
class StorageSettings:
    """Section [storage]. `options` are the tables below it, by kind; they can hold secrets and never show in a repr."""

    kind: str = "auto"
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Polling:
    """Section [polling], in seconds: the first wait between two polls, and the longest."""

    first_seconds: float = 2.0
    longest_seconds: float = 15.0


@dataclass(frozen=True)
class Budget:
    """Section [budget], in USD of estimated cost: for one queued prompt, and for one day."""

    per_run_usd: float = 10.0
    per_day_usd: float = 50.0


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. `path` is the file, whether it exists or not."""

    path: Path
    connection: str = "auto"
    novita: Novita = field(default_factory=Novita)
    storage: StorageSettings = field(default_factory=StorageSettings)
    polling: Polling = field(default_factory=Polling)
    budget: Budget = field(default_factory=Budget)
    warnings: tuple[str, ...] = ()

    @property
    def in_sandbox(self) -> bool:
        """Whether requests go to the sandbox: asked for, or `auto` without a key."""
        return self.connection == "sandbox" or (self.connection == "auto" and not self.novita.api_key)


def load_settings(user_dir: Path, environ: Mapping[str, str]) -> Settings:
    """Read `user_dir`/config.toml, which need not exist, and the environment.

    Raises:
        SettingsError: the file cannot be read, or a value cannot be used.
    """
    path = user_dir / FILE_NAME
    reader = _Reader(_read_toml(path), environ, path)
    connection = reader.choice(("connection",), "auto", CONNECTIONS)
    novita = Novita(
        api_key=reader.text(("novita", "api_key"), "", variable="NOVITA_API_KEY").strip(),
        base_url=reader.text(("novita", "base_url"), "https://api.novita.ai").strip().rstrip("/"),
        price_per_second={
            resolution: reader.number(("novita", "price_per_second", resolution), PRICE_PER_SECOND_USD[resolution])
            for resolution in RESOLUTIONS
        },
    )
    polling = Polling(
        reader.number(("polling", "first_seconds"), 2.0, low=0.05),
        reader.number(("polling", "longest_seconds"), 15.0, low=0.05),
    )
    if polling.first_seconds > polling.longest_seconds:
        polling = Polling(polling.longest_seconds, polling.longest_seconds)
    settings = Settings(
        path=path,
        connection=connection,
        novita=novita,
        storage=_read_storage(reader, environ),
        polling=polling,
        budget=Budget(reader.number(("budget", "per_run_usd"), 10.0), reader.number(("budget", "per_day_usd"), 50.0)),
        warnings=tuple(reader.unknown()),
    )
    _check_key(settings)
    return settings


def _read_storage(reader: _Reader, environ: Mapping[str, str]) -> StorageSettings:
    """The kind, and the options of every kind as they are: each storage checks its own when it is used."""
    options: dict[str, dict[str, Any]] = {}
    for kind, keys in SCALARS.items():
        found = {key: reader.value(("storage", kind, key)) for key in keys}
        found |= {key: reader.value(("storage", kind, key), whole=True) for key in TABLES.get(kind, ())}
        options[kind] = {key: value for key, value in found.items() if value is not None}
    options["s3"] = with_aws_variables(options["s3"], environ)
    return StorageSettings(reader.choice(("storage", "kind"), "auto", STORAGES), options)


def _check_key(settings: Settings) -> None:
    if settings.connection == "novita" and not settings.novita.api_key:
        raise SettingsError(
            f'connection = "novita" needs a key. Set api_key under [novita] in {settings.path}, or NOVITA_API_KEY. '
            'connection = "sandbox" works without one.'
        )
    key = settings.novita.api_key
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingsError(
            "The API key contains characters that no key has (spaces, line breaks, other scripts). "
            f"Check api_key under [novita] in {settings.path}, or NOVITA_API_KEY."
        )


class _Reader:
    """Takes values out of the file and the environment, and remembers which ones it was asked for."""

    def __init__(self, table: Mapping[str, Any], environ: Mapping[str, str], path: Path) -> None:
        self._table, self._environ, self._path = table, environ, path
        self._known: set[tuple[str, ...]] = set()
        self._free: set[tuple[str, ...]] = set()

    def text(self, keys: tuple[str, ...], default: str, *, variable: str | None = None) -> str:
        value, where = self._find(keys, variable)
        if value is None:
            return default
        if not isinstance(value, str):
            raise SettingsError(f'{where} must be text in quotes, such as {keys[-1]} = "{default}".')
        return value

    def choice(self, keys: tuple[str, ...], default: str, possible: tuple[str, ...]) -> str:
        value, where = self._find(keys, None)
        if value is None:
            return default
        if value not in possible:
            raise SettingsError(f"{where} is {value!r}; possible are {', '.join(possible)}.")
        return str(value)

    def number(self, keys: tuple[str, ...], default: float, *, low: float = 0.0) -> float:
        value, where = self._find(keys, None)
        if value is None:
            return default
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not low <= number < math.inf:
            raise SettingsError(f"{where} is {value!r}; it must be a number of at least {low:g}.")
        return number

    def value(self, keys: tuple[str, ...], *, whole: bool = False) -> Any:
        """A value as it is, or None. `whole`: a table whose keys are free; the environment has none."""
        if whole:
            self._free.add(keys)
        return self._find(keys, None)[0]

    def unknown(self) -> list[str]:
        """A warning for each key of the file that nothing reads: a typing error would go unnoticed otherwise."""
        known = {".".join(keys) for keys in self._known}
        warnings = []
        for keys in _leaves(self._table):
            name = ".".join(keys)
            if name in known or any(keys[: len(free)] == free for free in self._free):
                continue
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            warnings.append(f"{self._path}: {name} is not a setting.{hint}")
        return warnings

    def _find(self, keys: tuple[str, ...], variable: str | None) -> tuple[Any, str]:
        self._known.add(keys)
        variable = variable or "WAN27_" + "_".join(keys).upper()
        if self._environ.get(variable, "").strip():
            return self._environ[variable], f"The environment variable {variable}"
        value: Any = self._table
        for depth, key in enumerate(keys):
            if not isinstance(value, Mapping):
                raise SettingsError(f"{'.'.join(keys[:depth])} in {self._path} must be a section.")
            value = value.get(key)
            if value is None:
                break
        return value, f"{'.'.join(keys)} in {self._path}"


def _leaves(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for key, value in table.items():
        found += _leaves(value, (*above, key)) if isinstance(value, Mapping) else [(*above, key)]
    return found


def _read_toml(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from error
    reader = _toml_reader()
    try:
        table: Mapping[str, Any] = reader.loads(text)
    except ValueError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.") from error
    return table


def _toml_reader() -> Any:
    """tomllib came with Python 3.11; before, pip carries the same reader."""
    try:
        import tomllib

        return tomllib
    except ImportError:
        pass
    try:
        import tomli

        return tomli
    except ImportError:
        pass
    try:
        from pip._vendor import tomli as vendored

        return vendored
    except ImportError as error:
        raise SettingsError(
            "Python 3.10 has no reader for config.toml. Install one with 'pip install tomli', or use environment "
            "variables such as NOVITA_API_KEY instead of the file."
        ) from error
