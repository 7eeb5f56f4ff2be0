"""Reads values from config.toml and the environment, and names the setting in every refusal."""

from __future__ import annotations

import contextlib
import difflib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..core.disk import patiently
from ..core.errors import SettingsError, reason_of
from ..core.hosts import HOSTS

FILE_NAME = "config.toml"


class Reader:
    """Checks the type and range of values, and raises `error` to refuse one. A subclass looks them up."""

    error: type[Exception]

    def value(self, key: str) -> Any:
        """Return a value as it is, or None if it is not set."""
        raise NotImplementedError

    def label(self, key: str) -> str:
        """Return how to name a setting in a message to the user."""
        raise NotImplementedError

    def text(self, key: str, default: str = "") -> str:
        """Return a text without white space around it."""
        value = self.value(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.error(f"{self.label(key)} must be text in quotes.")
        return value.strip()

    def choice(self, key: str, options: tuple[str, ...], default: str) -> str:
        """Return one of the options."""
        value = self.value(key)
        value = default if value is None else value.strip() if isinstance(value, str) else value
        if value not in options:
            raise self.error(f"{self.label(key)} is {value!r}; it must be one of {', '.join(options)}.")
        return str(value)

    def number(self, key: str, default: float, *, low: float | None = 0.0, high: float = math.inf) -> float:
        """Return a finite number from `low` to `high`, both included. `low` None: any number above 0."""
        value = self.value(key)
        if value is None:
            return default
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not (math.isfinite(number) and (number > 0 if low is None else number >= low) and number <= high):
            limits = "above 0" if low is None else f"of at least {low:g}"
            limits += f" and at most {high:g}" if high < math.inf else ""
            raise self.error(f"{self.label(key)} is {value!r}; it must be a number {limits}.")
        return number


class SettingsReader(Reader):
    """Reads from the environment and config.toml, which need not exist, and remembers which settings it was asked for.

    A variable wins over the file. Its name is WAN27_ and the path of the setting, such as WAN27_STORAGE_KIND; those of
    the keys are in the table of hosts. `text` is the content of the file, if it is not to be read. Raises SettingsError
    if the file cannot be read.
    """

    error = SettingsError

    def __init__(self, path: Path, environ: Mapping[str, str], *, text: str | None = None) -> None:
        self._table, self._environ, self._path = _read_toml(path, text), environ, path
        self._known: set[str] = set()
        self._tables: set[str] = set()

    def value(self, key: str) -> Any:
        self._known.add(key)
        if self.is_in_environment(key):
            return self._environ[variable_of(key)]
        value: Any = self._table
        parts = key.split(".")
        for depth, part in enumerate(parts):
            if not isinstance(value, Mapping):
                raise SettingsError(f"{'.'.join(parts[:depth])} in {self._path} must be a section.")
            value = value.get(part)
            if value is None:
                return None
        return value

    def label(self, key: str) -> str:
        if self.is_in_environment(key):
            return f"The environment variable {variable_of(key)}"
        return f"{key} in {self._path}"

    def table(self, key: str) -> Any:
        """Return a table whose keys the user may choose, or None."""
        self._tables.add(f"{key}.")
        return self.value(key)

    def unknown(self) -> Iterator[str]:
        """Yield a warning for each key of the file that was never asked for, most likely because it is misspelt."""
        hidden = self._path.with_name(f"{self._path.name}.txt")  # Explorer and Finder do not show the extension
        if hidden.exists() and not self._path.exists():
            yield f"{hidden} is not read: rename it to {self._path.name}."
        for key in _keys(self._table):
            if key in self._known or key.startswith(tuple(self._tables)):
                continue
            close = difflib.get_close_matches(key, self._known, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            yield f"{self._path}: {key} is not a setting.{hint}"

    def is_in_environment(self, key: str) -> bool:
        """Return whether a variable sets this, which wins over the file."""
        return bool(self._environ.get(variable_of(key), "").strip())


def variable_of(key: str) -> str:
    """Return the environment variable of a setting."""
    section, _, name = key.partition(".")
    return HOSTS[section].variable(name) if section in HOSTS else f"WAN27_{key}".replace(".", "_").upper()


def _keys(table: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"


def _read_toml(path: Path, text: str | None) -> Mapping[str, Any]:
    try:
        return parse_toml((read_utf8(path) if text is None else text).removeprefix("\ufeff"))
    except FileNotFoundError:
        return {}
    except SettingsError:  # is a ValueError too
        raise
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {reason_of(error)}.") from error
    except ValueError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.") from error


def read_utf8(path: Path) -> str:
    """Return the text of a file as it is, with its byte order mark and line ends.

    Raises:
        SettingsError: it is not UTF-8. PowerShell 5 writes UTF-16, and old editors the code page of the system.
        OSError: it cannot be read.
    """
    try:
        return patiently(path.read_bytes).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path} is not UTF-8 text. Open it in an editor and save it as UTF-8 (Notepad: Save as, Encoding UTF-8)."
        ) from error


def parse_toml(text: str) -> dict[str, Any]:
    """Return a TOML document as a dict.

    Raises:
        ValueError: the text is not valid TOML.
        SettingsError: this Python has no parser.
    """
    parsed: dict[str, Any] = _toml_parser().loads(text)
    return parsed


def _toml_parser() -> Any:
    """Return tomllib, which came with Python 3.11. Before that, pip contains the same parser."""
    with contextlib.suppress(ImportError):
        import tomllib

        return tomllib
    with contextlib.suppress(ImportError):
        import tomli

        return tomli
    with contextlib.suppress(ImportError):
        from pip._vendor import tomli as vendored

        return vendored
    raise SettingsError(
        "Python 3.10 has no parser for config.toml. Install one with 'pip install tomli', or use environment "
        "variables such as WAN27_CONNECTION instead of the file."
    )
