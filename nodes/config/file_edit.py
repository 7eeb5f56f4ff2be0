"""Changing single settings in config.toml without touching anything else there.

There is no TOML writer among the dependencies, and one would drop the user's comments and order. So the line of a
setting is changed as text, and the result is parsed again: unless exactly that setting differs, nothing is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..core.disk import write_atomically
from ..core.errors import SettingsError, reason_of
from .reader import FILE_NAME, parse_toml, read_utf8

_ANY_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)
_STRING = r""""(?:[^"\\\r\n]|\\.)*"|'[^'\r\n]*'"""
_TABLE = rf"""\{{(?:{_STRING}|[^"'{{}}\r\n])*\}}"""
_NESTED = rf"""\{{(?:{_STRING}|{_TABLE}|[^"'{{}}\r\n])*\}}"""
_VALUE = rf"""(?:{_STRING}|{_NESTED}|[^\s#"'{{\[]+)"""


def read_text(user_dir: Path) -> str:
    """Return the text of config.toml, "" if there is none. Raises SettingsError if it cannot be read."""
    try:
        return read_utf8(user_dir / FILE_NAME)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SettingsError(f"{FILE_NAME} cannot be read: {reason_of(error)}.") from error


def write_text(user_dir: Path, text: str) -> None:
    """Write config.toml, which is created if missing and, on POSIX, readable by its owner only.

    Raises:
        SettingsError: it cannot be written.
    """
    # A symbolic link is kept: what it points to is the file that is read.
    path = (user_dir / FILE_NAME).resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode("utf-8"), durable=True)
    except OSError as error:
        raise SettingsError(f"{FILE_NAME} cannot be written: {reason_of(error)}.") from error


def with_setting(text: str, name: str, value: str | float | None) -> str:
    """Return the text of the file with this value of a setting, such as "budget.per_day_usd"; None removes it.

    Raises:
        SettingsError: the text is not valid TOML, or it would not be the only change. The error does not repeat values.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    return mark + _with_value(text.removeprefix(mark), tuple(name.split(".")), value)


def _with_value(text: str, path: tuple[str, ...], value: object) -> str:
    try:
        old = parse_toml(text)
    except ValueError as error:
        raise SettingsError(f"{FILE_NAME} is not valid TOML, so it is left as it is: {error}.") from error
    if _get(old, path) == value:
        return text
    wanted = [_replaced(old, path, value)]
    if value is None and not _get(wanted[0], path[:-1]):  # with a dotted key, its table is removed too
        wanted.append(_replaced(old, path[:-1], None))
    for changed in _attempts(text, path, value, old) if wanted[0] is not None else ():
        if _parsed(changed) in wanted:
            return changed
    where = f"under [{'.'.join(path[:-1])}] " if path[:-1] else ""
    raise SettingsError(
        f"{FILE_NAME} is written in a way that cannot be changed here without touching other settings. "
        f"Set or remove {path[-1]} {where}with an editor."
    )


def _attempts(text: str, path: tuple[str, ...], value: object, old: Mapping[str, Any]) -> Iterator[str]:
    """Yield changed texts, the best first. Some are wrong: a multi-line text may look like a header or a setting."""
    section, key = path[:-1], path[-1]
    yield from _changed_lines(text, section, (key,), value)
    for depth in range(len(section)):  # a dotted key, such as novita.api_key
        yield from _changed_lines(text, path[:depth], path[depth:], value)
    if value is not None:
        yield from _inserted_lines(text, section, (key,), value)
    if not section:
        return
    table = _get(old, section)
    if isinstance(table, Mapping):  # an inline table, such as price_per_second = { 720P = 0.1, 1080P = 0.15 }
        merged = {name: content for name, content in table.items() if name != key}
        yield from _attempts(text, section, merged if value is None else {**merged, key: value}, old)
    if value is not None:
        newline = _newline(text)
        gap = "" if not text else newline if text.endswith("\n") else newline * 2
        yield f"{text}{gap}[{'.'.join(section)}]{newline}{_line((key,), value)}{newline}"
        for depth in range(len(section)):
            yield from _inserted_lines(text, path[:depth], path[depth:], value)


def _changed_lines(text: str, section: tuple[str, ...], key: tuple[str, ...], value: object) -> Iterator[str]:
    """Yield the text with the line of a setting replaced, or removed if the value is None."""
    pattern = re.compile(rf"^([ \t]*{_dotted(key)}[ \t]*=[ \t]*){_VALUE}([^\r\n]*)(\r?\n|\Z)", re.MULTILINE)
    for start in _section_starts(text, section):
        following = _ANY_HEADER.search(text, start)
        for found in pattern.finditer(text, start, following.start() if following else len(text)):
            line = "" if value is None else f"{found[1]}{_to_toml(value)}{found[2]}{found[3]}"
            yield text[: found.start()] + line + text[found.end() :]


def _inserted_lines(text: str, section: tuple[str, ...], key: tuple[str, ...], value: object) -> Iterator[str]:
    """Yield the text with a setting inserted below the header of its section; without a section, at the beginning."""
    newline = _newline(text)
    for start in _section_starts(text, section):
        at_end = start and text[start - 1] != "\n"  # the file ends with the header
        line = f"{newline}{_line(key, value)}" if at_end else f"{_line(key, value)}{newline}"
        yield f"{text[:start]}{line}{text[start:]}"


def _section_starts(text: str, section: tuple[str, ...]) -> list[int]:
    """Return where the lines below a section's header begin, for each place that looks like it."""
    if not section:
        return [0]
    header = rf"^[ \t]*\[[ \t]*{_dotted(section)}[ \t]*\][ \t]*(?:#[^\r\n]*)?(?:\r?\n|\Z)"
    return [found.end() for found in re.finditer(header, text, re.MULTILINE)]


def _dotted(path: tuple[str, ...]) -> str:
    return r"[ \t]*\.[ \t]*".join(rf"""["']?{re.escape(part)}["']?""" for part in path)


def _line(key: tuple[str, ...], value: object) -> str:
    return f"{'.'.join(key)} = {_to_toml(value)}"


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _to_toml(value: object) -> str:
    if isinstance(value, Mapping):
        pairs = (
            f"{name if re.fullmatch('[A-Za-z0-9_-]+', name) else json.dumps(name)} = {_to_toml(content)}"
            for name, content in value.items()
        )
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value)  # a number; anything else does not read back equal


def _parsed(text: str) -> object:
    try:
        return parse_toml(text)
    except ValueError:
        return ""  # equal to no table


def _get(table: object, path: tuple[str, ...]) -> Any:
    for part in path:
        table = table.get(part) if isinstance(table, Mapping) else None
    return table


def _replaced(table: Mapping[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any] | None:
    """Return the parsed file as it should be, or None if a part of the path is not a table."""
    if not path:
        return None
    key, *rest = path
    changed = {name: content for name, content in table.items() if name != key}
    if rest:
        below = table.get(key, {})
        inner = _replaced(below, tuple(rest), value) if isinstance(below, Mapping) else None
        return None if inner is None else {**table, key: inner}
    return changed if value is None else {**changed, key: value}
