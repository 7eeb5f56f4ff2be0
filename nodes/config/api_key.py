"""Writing one value of config.toml, the key, and nothing else.

There is no TOML writer among the dependencies, and one would throw the user's comments and order away. So a line is
changed as text, and the result is read again: unless exactly the key differs, nothing is written.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import SettingsError
from .settings import FILE_NAME, _toml_reader

_SECTION = "novita"
_KEY = "api_key"
_HEADER = re.compile(rf"^[ \t]*\[[ \t]*{_SECTION}[ \t]*\][ \t]*(#.*)?$")
_ANY_HEADER = re.compile(r"^[ \t]*\[")
_LINE = re.compile(rf"^[ \t]*{_KEY}[ \t]*=")
_VALUE = re.compile(r"""=[ \t]*("(?:[^"\\]|\\.)*"|'[^']*')(?P<rest>.*)$""")

KEY_LENGTH = (8, 512)


def check_key(text: object) -> str:
    """The key without white space around it.

    Raises:
        SettingsError: it cannot be one. The key itself is not repeated.
    """
    key = text.strip() if isinstance(text, str) else ""
    low, high = KEY_LENGTH
    if not low <= len(key) <= high:
        raise SettingsError(f"A key has {low} to {high} characters; this has {len(key)}. Copy all of it.")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingsError("This contains characters that no key has (spaces, line breaks, other scripts).")
    return key


def store_key(user_dir: Path, key: str) -> None:
    """Put the key into config.toml, which is made where it is missing, and make it readable by its owner only.

    Raises:
        SettingsError: the key cannot be one, or the file cannot be changed without touching other settings.
    """
    _change(user_dir / FILE_NAME, check_key(key))


def remove_key(user_dir: Path) -> None:
    """Take the key out of config.toml; does nothing where there is none.

    Raises:
        SettingsError: the file cannot be changed without touching other settings.
    """
    if (user_dir / FILE_NAME).exists():
        _change(user_dir / FILE_NAME, None)


def _change(path: Path, key: str | None) -> None:
    # A link stays a link: what it points to is the file that is read.
    path = path.resolve()
    try:
        text = path.read_bytes().decode("utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{FILE_NAME} cannot be read: {_said(error)}.") from error
    changed = _with_key(text, key)
    _prove(text, changed, key)
    try:
        _replace(path, changed.encode("utf-8"))
    except OSError as error:
        raise SettingsError(f"{FILE_NAME} cannot be written: {_said(error)}.") from error


def _with_key(text: str, key: str | None) -> str:
    """The text of the file with this key, or without any."""
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.split(newline)
    at = _find(lines)
    quoted = None if key is None else '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if at.value is not None:
        if quoted is None:
            del lines[at.value]
        else:
            found = _VALUE.search(lines[at.value])
            rest = found["rest"] if found else ""
            lines[at.value] = f"{_KEY} = {quoted}{rest}"
    elif quoted is not None and at.header is not None:
        lines.insert(at.header + 1, f"{_KEY} = {quoted}")
    elif quoted is not None:
        end = [""] if lines[-1] == "" else ["", ""]
        lines = [*(lines if text else []), *(end[1:] if text else []), f"[{_SECTION}]", f"{_KEY} = {quoted}", ""]
    return newline.join(lines)


class _Place:
    def __init__(self, header: int | None, value: int | None) -> None:
        self.header, self.value = header, value


def _find(lines: list[str]) -> _Place:
    """The lines of the section's header and of the key, as far as they look like it."""
    header = value = None
    inside = False
    for number, line in enumerate(lines):
        if _ANY_HEADER.match(line.lstrip("\ufeff")):
            inside = bool(_HEADER.match(line.lstrip("\ufeff")))
            header = number if inside and header is None else header
        elif inside and value is None and _LINE.match(line):
            value = number
    return _Place(header, value)


def _prove(before: str, after: str, key: str | None) -> None:
    """Refuse a change that would change anything but the key: multi-line text and inline tables look alike."""
    reader = _toml_reader()
    try:
        old, new = (reader.loads(text.lstrip("\ufeff")) for text in (before, after))
    except ValueError as error:
        raise SettingsError(f"{FILE_NAME} is not valid TOML, so it is left as it is: {error}.") from error
    if _key_of(new) != key or _without_key(old) != _without_key(new):
        raise SettingsError(
            f"{FILE_NAME} is written in a way that cannot be changed here without touching other settings. "
            f"Set or remove {_KEY} under [{_SECTION}] with an editor."
        )


def _key_of(table: Mapping[str, Any]) -> Any:
    section = table.get(_SECTION)
    return section.get(_KEY) if isinstance(section, Mapping) else None


def _without_key(table: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in table.items() if name != _SECTION}
    section = table.get(_SECTION, {})
    if not isinstance(section, Mapping):
        return {**rest, _SECTION: section}
    others = {name: value for name, value in section.items() if name != _KEY}
    return {**rest, _SECTION: others} if others else rest


def _replace(path: Path, data: bytes) -> None:
    """Write beside the file and rename, so that a crash leaves the old or the new one; never readable for others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
