"""The tables below [storage]: their keys, the sources of a value, and how each is checked.

A value comes from WAN27_STORAGE_<KIND>_<KEY>, else from config.toml. For s3 the variables of the AWS tools fill in what
is set in neither. A key and its secret always come from the same source, so that those of two accounts never mix.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.addresses import parse_http_url
from ..core.errors import StorageError
from .reader import Reader

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
    "http": ("preset", "api_key", "method", "url", "file_field", "public_url", "response", "expires_hours"),
    "comfyui": ("public_url", "expires_hours"),
}
"""Keys with one value, each of which has an environment variable too."""

TABLES: Mapping[str, tuple[str, ...]] = {"http": ("headers", "form", "rewrite")}
"""Keys that are tables of text. They can be set in config.toml only."""

CHOICES: Mapping[str, tuple[str, ...]] = {"method": ("PUT", "POST"), "addressing": ("auto", "path", "virtual")}
"""Keys that have a fixed list of values."""

_AWS_LOCATION = (
    ("endpoint", ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")),
    ("region", ("AWS_REGION", "AWS_DEFAULT_REGION")),
)
_AWS_KEY = (
    ("access_key_id", "AWS_ACCESS_KEY_ID"),
    ("secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("session_token", "AWS_SESSION_TOKEN"),
)


def with_aws_variables(options: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the options of s3 with what the AWS variables add to them.

    https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html
    """
    merged = dict(options)
    for key, variables in _AWS_LOCATION:
        found = next((environ[name] for name in variables if environ.get(name, "").strip()), None)
        if found and not merged.get(key):
            merged[key] = found
    if not any(merged.get(key) for key, _ in _AWS_KEY):
        merged.update({key: environ[name] for key, name in _AWS_KEY if environ.get(name, "").strip()})
    return merged


class Options(Reader):
    """Reads one table below [storage], environment variables included. Values never show in a repr.

    An empty text counts as not set. `defaults` are the values of a preset, for what is not set.
    """

    error = StorageError

    def __init__(self, kind: str, values: Mapping[str, Any], *, defaults: Mapping[str, Any] | None = None) -> None:
        self._kind = kind
        self._values = {key: value for key, value in values.items() if value not in ("", None)}
        self._defaults = defaults or {}

    def value(self, key: str) -> Any:
        return self._values.get(key, self._defaults.get(key))

    def label(self, key: str) -> str:
        variable = f" (or WAN27_STORAGE_{self._kind.upper()}_{key.upper()})" if key in SCALARS[self._kind] else ""
        return f"{key} under [storage.{self._kind}]{variable}"

    def is_set(self, key: str) -> bool:
        """Return whether the user set a value."""
        return key in self._values

    def require(self, key: str, what: str) -> str:
        """Return a text that must be set. `what` says what it is, such as "a bucket"."""
        value = self.text(key)
        if not value:
            raise StorageError(f'storage.kind = "{self._kind}" needs {what}: set {self.label(key)} in config.toml.')
        return value

    def hours(self, *, high: float = 24 * 365) -> float:
        """Return expires_hours."""
        return self.number("expires_hours", 24.0, low=None, high=high)

    def table(self, key: str) -> dict[str, str]:
        """Return a table of text: the defaults, and what is set, which wins over them."""
        value = self._values.get(key, {})
        if not isinstance(value, Mapping):
            raise StorageError(f'{self.label(key)} must be a table such as {{ name = "text" }}.')
        merged: dict[str, str] = dict(self._defaults.get(key, {}))
        for name, content in value.items():
            if isinstance(content, bool) or not isinstance(content, (str, int, float)):
                raise StorageError(f"{self.label(key)}: the value of {name!r} must be text in quotes.")
            merged[str(name)] = str(content)
        return merged

    def check_url(self, key: str, url: str, *, query: bool = True) -> str:
        """Return the URL of a setting, or refuse it. The error does not repeat it: it may contain a secret."""
        parts = parse_http_url(url)
        if parts is None or parts.fragment:
            raise StorageError(f"{self.label(key)} is not an http(s) URL such as https://example.com/files.")
        if parts.username or parts.password:
            raise StorageError(f"{self.label(key)} contains a user name or a password, which others would see.")
        if parts.query and not query:
            raise StorageError(f"{self.label(key)} must end before the question mark.")
        return url
