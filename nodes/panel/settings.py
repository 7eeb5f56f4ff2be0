"""The settings and the check in the tab: what can be set, what is set, saving, and one check at a time."""

from __future__ import annotations

from collections.abc import Mapping
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.hosts import DIALECTS
from ..config import FILE_NAME, MissingKeyError, Settings, load_settings
from ..config.file_edit import with_setting, write_text
from ..config.reader import variable_of
from ..config.writable import Current, changed_text, current_values
from ..core.errors import SettingsError
from ..core.hosts import HOSTS
from ..core.packages import MissingPackagesError, require_packages
from ..services import Process, connection_to
from ..storage import make_storage
from ..storage.presets import load_presets

if TYPE_CHECKING:
    from ..check import Finding

PARTS = ("settings", "key", "storage", "price")
"""What can be checked, in this order."""


def settings_view(user_dir: Path, *, local: bool) -> dict[str, Any]:
    """Return what can be set and what is set. Texts that were set only for a browser on this machine, secrets never."""
    presets = load_presets()
    return {
        "file": f"{user_dir.name}/{FILE_NAME}",
        "may_write": local,
        "settings": [_setting_view(each, tuple(presets), local=local) for each in current_values(user_dir, environ)],
        "hosts": [_host_view(name) for name in HOSTS],
        "presets": [
            {
                "name": name,
                "title": preset.title,
                "limits": preset.limits,
                "public": preset.public,
                "needs_key": "{api_key}" in str(preset.options),
            }
            for name, preset in presets.items()
        ],
        "checks": list(PARTS),
    }


def _setting_view(current: Current, presets: tuple[str, ...], *, local: bool) -> dict[str, Any]:
    setting = current.setting
    is_preset = setting.name == "storage.http.preset"
    return {
        "name": setting.name,
        "kind": "choice" if is_preset else setting.kind,
        "options": list(presets if is_preset else setting.options),
        "default": setting.default,
        "value": current.value if local or setting.kind != "text" or is_preset else None,
        "source": current.source,
        "variable": setting.variable,
    }


def _host_view(name: str) -> dict[str, Any]:
    host, dialect = HOSTS[name], DIALECTS[name]
    seconds = dialect.capabilities.upload_seconds
    return {
        "name": name,
        "title": host.title,
        "key_page": host.key_page,
        "upload_hours": None if seconds is None else seconds / 3600,
        "public_uploads": dialect.capabilities.public_uploads,
        "reports_balance": dialect.balance() is not None,
        "cancels": dialect.capabilities.cancels,
    }


def save_settings(user_dir: Path, changes: Mapping[str, Any]) -> None:
    """Write settings to config.toml, all or none. None removes one.

    Raises:
        SettingsError: a name is not in the list, or a value, or the file with it, cannot be used.
        StorageError: the storage cannot be used with these values.
    """
    text = changed_text(user_dir, environ, changes)
    try:
        settings = load_settings(user_dir, environ, text=text)
    except SettingsError as error:
        if not _is_unrelated(error, user_dir, text, changes):
            raise
    else:
        if any(name.startswith("storage.") for name in changes):
            _check_storage(settings)
    if text or (user_dir / FILE_NAME).exists():  # removing a setting does not create the file
        write_text(user_dir, text)


def _is_unrelated(error: SettingsError, user_dir: Path, text: str, changes: Mapping[str, Any]) -> bool:
    """Return whether the changed file would be wrong without the changed settings too: another value in it is bad.

    The key of the host that `connection` names can be removed, so its absence counts only if `connection` changes.
    """
    problem = str(error)
    if isinstance(error, MissingKeyError) and "connection" not in changes:
        problem = _problem_but_key(user_dir, text)
    for name in changes:
        text = with_setting(text, name, None)
    return problem in ("", _problem_but_key(user_dir, text))


def _problem_but_key(user_dir: Path, text: str) -> str:
    try:
        load_settings(user_dir, {**environ, variable_of("connection"): "auto"}, text=text)
    except SettingsError as error:
        return str(error)
    return ""


def _check_storage(settings: Settings) -> None:
    require_packages()
    wanted = settings.storage
    if not (settings.in_sandbox and wanted.kind == "sandbox"):
        connection = connection_to(settings.current)
        make_storage(wanted.kind, wanted.options, connection=connection, directory=settings.path.parent)


async def check_part(process: Process, part: str) -> Finding:
    """Check one part of the setup. Costs nothing. Raises SettingsError if it is not a part."""
    from ..check import CHECKS, Finding, check_file

    if part not in PARTS:
        raise SettingsError(f"part is {part[:80]!r}; it must be one of {', '.join(PARTS)}.")
    try:
        settings = process.settings()
    except MissingPackagesError as error:
        return Finding(part, False, error.public, "")
    except SettingsError as error:
        return Finding(part, False, str(error), "")
    return check_file(settings) if part == "settings" else await CHECKS[part](settings)
