"""API keys: what one may look like, and storing one in config.toml without touching anything else there.

There is no TOML writer among the dependencies, and one would drop the user's comments and order. So one line is changed
as text, and the result is parsed again: unless exactly the key differs, nothing is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ..core.atomic_write import write_atomically
from ..core.errors import SettingsError
from .reader import FILE_NAME, parse_toml, read_utf8

KEY_LENGTH = (8, 512)
"""Characters of a key that is entered in the panel."""

_KEY = "api_key"
_ANY_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)
_LINE = re.compile(
    rf"""^[ \t]*{_KEY}[ \t]*=[ \t]*(?:(?:"(?:[^"\\]|\\.)*"|'[^']*')(?P<rest>[^\r\n]*)|[^\r\n]*)""", re.MULTILINE
)


def check_characters(key: str, label: str) -> None:
    """Raise SettingsError if a key cannot be sent in a header. The error names the setting (`label`), not the key."""
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingsError(
            f"{label} contains characters that no API key has (spaces, line breaks, other scripts). Copy the key again."
        )


def check_key(text: object) -> str:
    """Return an entered key without white space around it. Raises SettingsError, which does not repeat the key."""
    key = text.strip() if isinstance(text, str) else ""
    low, high = KEY_LENGTH
    if not low <= len(key) <= high:
        raise SettingsError(f"An API key has {low} to {high} characters; this has {len(key)}. Copy all of it.")
    check_characters(key, "This")
    return key


def store_key(user_dir: Path, host: str, key: str) -> None:
    """Write the key of a host to config.toml, which is created if missing and, on POSIX, readable by its owner only.


    Raises:
        SettingsError: this cannot be a key, or the file cannot be changed without touching other settings.
    """
    _change(user_dir / FILE_NAME, host, check_key(key))


def remove_key(user_dir: Path, host: str) -> None:
    """Remove the key of a host from config.toml. Raises SettingsError if that would touch other settings."""
    if (user_dir / FILE_NAME).exists():
        _change(user_dir / FILE_NAME, host, None)


def _change(path: Path, section: str, key: str | None) -> None:
    # A symbolic link is kept: what it points to is the file that is read.
    path = path.resolve()
    try:
        text = read_utf8(path) if path.exists() else ""
    except OSError as error:
        raise SettingsError(f"{FILE_NAME} cannot be read: {_reason(error)}.") from error
    changed = _with_key(text, section, key)
    _check_change(text, changed, section, key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, changed.encode("utf-8"), durable=True)
    except OSError as error:
        raise SettingsError(f"{FILE_NAME} cannot be written: {_reason(error)}.") from error


def _with_key(text: str, section: str, key: str | None) -> str:
    """Return the text of the file with this key in its section, or without any."""
    newline = "\r\n" if "\r\n" in text else "\n"
    line = "" if key is None else f"{_KEY} = " + '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    pattern = rf"^\ufeff?[ \t]*\[[ \t]*{section}[ \t]*\][ \t]*(?:#.*)?\r?$"
    header = re.search(pattern, text, re.MULTILINE)
    if header is None:
        gap = "" if not text else newline if text.endswith(newline) else newline * 2
        return text if key is None else f"{text}{gap}[{section}]{newline}{line}{newline}"
    section_end = _ANY_HEADER.search(text, header.end())
    found = _LINE.search(text, header.end(), section_end.start() if section_end else len(text))
    if found is not None:
        before, after = text[: found.start()], text[found.end() :]
        return before + after.removeprefix(newline) if key is None else f"{before}{line}{found['rest'] or ''}{after}"
    if key is None:
        return text
    end = text.find("\n", header.end())
    return f"{text}{newline}{line}" if end < 0 else f"{text[: end + 1]}{line}{newline}{text[end + 1 :]}"


def _check_change(before: str, after: str, name: str, key: str | None) -> None:
    """Refuse a change of anything but the key: a multi-line text can look like it, and an inline table hides it."""
    try:
        old, new = (parse_toml(text.lstrip("\ufeff")) for text in (before, after))
    except ValueError as error:
        raise SettingsError(f"{FILE_NAME} is not valid TOML, so it is left as it is: {error}.") from error
    section = old.get(name, {})
    if isinstance(section, Mapping):
        section = {setting: value for setting, value in section.items() if setting != _KEY}
        section |= {} if key is None else {_KEY: key}
    if {**new, name: new.get(name, {})} != {**old, name: section}:
        raise SettingsError(
            f"{FILE_NAME} is written in a way that cannot be changed here without touching other settings. "
            f"Set or remove {_KEY} under [{name}] with an editor."
        )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
