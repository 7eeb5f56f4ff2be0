"""What an API key may look like."""

from __future__ import annotations

from ..core.errors import SettingsError

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
