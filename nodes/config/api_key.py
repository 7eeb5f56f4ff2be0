"""API keys: what one may look like, and storing one in config.toml."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import SettingsError
from .file_edit import read_text, with_setting, write_text
from .reader import FILE_NAME

KEY_LENGTH = (8, 512)
"""Characters of a key that is entered in the panel."""


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
    """Write the key of a host to config.toml.

    Raises:
        SettingsError: this cannot be a key, or the file cannot be changed without touching other settings.
    """
    write_text(user_dir, with_setting(read_text(user_dir), f"{host}.api_key", check_key(key)))


def remove_key(user_dir: Path, host: str) -> None:
    """Remove the key of a host from config.toml. Raises SettingsError if that would touch other settings."""
    if (user_dir / FILE_NAME).exists():
        write_text(user_dir, with_setting(read_text(user_dir), f"{host}.api_key", None))
