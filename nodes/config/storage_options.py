"""The tables below [storage]: which keys they have, where a value may come from, and how each is checked.

A value comes from WAN27_STORAGE_<KIND>_<KEY>, else from config.toml; for s3 the variables of the AWS tools fill what is
set in neither place. A key and its secret always come from the same place: those of two accounts never mix.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ..core.errors import StorageError

SCALARS: Mapping[str, tuple[str, ...]] = {
    "s3": (
        "bucket",
        "endpoint",
        "region",
        "access_key_id",
        "secret_access_key",
        "session_token",
        "prefix",
        "addressing",
        "expires_hours",
    ),
    "http": (
        "preset",
        "api_key",
        "method",
        "url",
        "file_field",
        "public_url",
        "response",
        "expires_hours",
    ),
    "comfyui": ("public_url", "expires_hours"),
}
"""Keys with one value: each can be set by an environment variable as well."""

TABLES: Mapping[str, tuple[str, ...]] = {"http": ("headers", "form", "rewrite")}
"""Keys that are tables of text: in config.toml only."""

_AWS_PLACE = (
    ("endpoint", ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")),
    ("region", ("AWS_REGION", "AWS_DEFAULT_REGION")),
)
_AWS_KEY = (
    ("access_key_id", "AWS_ACCESS_KEY_ID"),
    ("secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("session_token", "AWS_SESSION_TOKEN"),
)


def with_aws_variables(options: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """The options of s3 with what the AWS variables add to them.

    https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html
    """
    merged = dict(options)
    for key, variables in _AWS_PLACE:
        found = next((environ[name] for name in variables if environ.get(name, "").strip()), None)
        if found and not merged.get(key):
            merged[key] = found
    if not any(merged.get(key) for key, _ in _AWS_KEY):
        merged.update({key: environ[name] for key, name in _AWS_KEY if environ.get(name, "").strip()})
    return merged


class Options:
    """Reads one table and names the setting in every refusal. Values never show in a repr."""

    def __init__(self, kind: str, values: Mapping[str, Any], *, defaults: Mapping[str, Any] | None = None) -> None:
        self._kind = kind
        self._values = {key: value for key, value in values.items() if value not in ("", None)}
        self._defaults = defaults or {}

    def where(self, key: str) -> str:
        """How a setting is called in a message to the user."""
        variable = ""
        if key in SCALARS[self._kind]:
            variable = f" (or WAN27_STORAGE_{self._kind}_{key})".upper().replace("(OR", "(or")
        return f"{key} under [storage.{self._kind}]{variable}"

    def given(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str, default: str = "") -> str:
        value = self._values.get(key, self._defaults.get(key, default))
        if not isinstance(value, str):
            raise StorageError(f"{self.where(key)} must be text in quotes.")
        return value.strip()

    def need(self, key: str, what: str) -> str:
        value = self.text(key)
        if not value:
            raise StorageError(f'storage.kind = "{self._kind}" needs {what}: set {self.where(key)} in config.toml.')
        return value

    def choice(self, key: str, possible: tuple[str, ...], default: str) -> str:
        value = self.text(key, default)
        if value not in possible:
            raise StorageError(f"{self.where(key)} is {value!r}; possible are {', '.join(possible)}.")
        return value

    def hours(self, key: str = "expires_hours", *, default: float = 24.0, most: float = 24 * 365) -> float:
        value = self._values.get(key, self._defaults.get(key, default))
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 < number <= most:
            raise StorageError(f"{self.where(key)} is {value!r}; it must be a number of hours, at most {most:g}.")
        return number

    def table(self, key: str) -> dict[str, str]:
        """A table of text. What is set adds to the defaults and wins over them."""
        value = self._values.get(key, {})
        if not isinstance(value, Mapping):
            raise StorageError(f'{self.where(key)} must be a table such as {{ name = "text" }}.')
        merged: dict[str, str] = dict(self._defaults.get(key, {}))
        for name, content in value.items():
            if isinstance(content, bool) or not isinstance(content, (str, int, float)):
                raise StorageError(f"{self.where(key)}: the value of {name!r} must be text in quotes.")
            merged[str(name)] = str(content)
        return merged

    def check_url(self, key: str, url: str, *, query: bool = True) -> str:
        """Refuse what is no plain http(s) URL. The URL itself is not repeated: it may hold a secret."""
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.fragment
            _ = parts.port
        except ValueError:
            good = False
        if not good or any(character.isspace() or not character.isprintable() for character in url):
            raise StorageError(f"{self.where(key)} is not an http(s) URL such as https://example.com/files.")
        if parts.username or parts.password:
            raise StorageError(f"{self.where(key)} has a user name or a password in it; they would be seen by others.")
        if parts.query and not query:
            raise StorageError(f"{self.where(key)} must end before the question mark.")
        return url
