"""Keeps secrets out of text that is shown or logged: keys, signed links, paths."""

from __future__ import annotations

import logging
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

SHORTEST_SECRET = 5
"""Characters. Anything shorter occurs in ordinary text, and no real secret is that short."""

URL_LOGGERS = ("httpx", "httpcore", "httpcore.http11", "httpcore.http2", "httpcore.connection", "httpcore.proxy")
"""Loggers that log the addresses of requests and the targets of redirects, some at the level DEBUG only. The filter of
a logger does not apply to its children, so each is named."""

_URL = re.compile(r"(?:https?|data):[^\s\"'<>]+", re.IGNORECASE)
_LOGIN = re.compile("//[^/@]*@")
_PATH = re.compile(r"(?<![\w:/.])(?:[A-Za-z]:|(?<!\\))[\\/]+(?:[^\\/\s\"':;,]+[\\/]+)+([^\\/\s\"':;,]*)")
_QUOTED_PATH = re.compile(r"""(['"])(?:[A-Za-z]:)?[\\/]+(?:(?:(?!\1)[^\\/:])+[\\/]+)+((?:(?!\1)[^\\/:])*)\1""")
"""As an OSError repeats it: in quotes, on Windows with every backslash doubled. It may contain spaces, and apostrophes
between double quotes."""
_IN_NAMES = r"(?:(?![;,] )[^\\/:*?\"<>|\n])"
_WINDOWS_FOLDER = re.compile(
    rf"(?<![\w:/.])(?:[A-Za-z]:(?=[\\/])|(?<!\\)\\(?=\\))(?:[\\/]+{_IN_NAMES}+)+(?=[\\/])",
)
"""A drive, or the name of a server, and what follows it up to the last slash of the clause. It may contain spaces."""
_USER_FOLDER = re.compile(rf"(?<![\w:/.\\])[\\/]+(?:Users|home)[\\/]+{_IN_NAMES}+(?=[\\/])", re.IGNORECASE)
"""Up to the slash after the user's name, which may contain spaces."""


class Redactor:
    """Removes secrets from what a server said, in every encoding in which it may repeat them.

    Args:
        secrets: keys, passwords or whole header values; each word of a value counts as a secret too.
        shortest: characters; anything shorter is left in.
    """

    def __init__(self, secrets: Iterable[str], *, shortest: int = SHORTEST_SECRET) -> None:
        words = {word for secret in secrets for word in (secret, *secret.split())}
        forms = {form for word in words for form in _encodings(word)}
        self._forms = sorted((form for form in forms if len(form) >= shortest), key=len, reverse=True)

    def redact(self, text: str) -> str:
        """Return the text without the secrets, and its links without login, query and fragment: they may be signed."""
        return _URL.sub(lambda found: _unsigned(found[0]), self._without_secrets(text))

    def redact_json(self, value: Any) -> Any:
        """Return decoded JSON without the secrets, and with text that can be encoded as UTF-8.

        JSON can contain half of a surrogate pair ("\\ud800"), which neither SQLite nor a log accepts.

        Raises:
            RecursionError: the value is nested too deeply.
        """
        if isinstance(value, str):
            return self._without_secrets(value.encode("utf-8", "replace").decode())
        if isinstance(value, list):
            return [self.redact_json(item) for item in value]
        if isinstance(value, dict):
            return {self.redact_json(name): self.redact_json(item) for name, item in value.items()}
        return value

    def excerpt(self, text: str, limit: int = 200) -> str:
        """Return the redacted text as one printable line of at most `limit` characters."""
        text = self.redact(text)
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text if len(text) <= limit else text[: limit - 1] + "…"

    def _without_secrets(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, "•••")
        return text


def _unsigned(url: str) -> str:
    return _LOGIN.sub("//", url.partition("?")[0].partition("#")[0])


def _encodings(secret: str) -> Iterator[str]:
    quoted = quote(secret, safe="")
    yield from (secret, quoted, quote(secret), re.sub("%..", lambda found: found[0].lower(), quoted))
    yield b64encode(secret.encode()).decode().rstrip("=")
    try:
        plain = b64decode(secret, validate=True).decode()
    except ValueError:
        return
    if plain.isprintable() and ":" in plain:  # Basic authentication: a server may repeat user or password alone
        yield from (plain, *plain.split(":", 1))


def redact_locations(text: str, *, folders: Iterable[Path] = ()) -> str:
    """Return a text with URLs reduced to their host and paths to their last part.

    `folders` are those of this installation. Their names may contain spaces, which outside of Windows no pattern can
    tell from the end of a path.
    """
    for folder in folders:
        text = text.replace(repr(str(folder))[1:-1], "…").replace(str(folder), "…")
    text = _URL.sub(lambda found: _host_of(found[0]), text)
    text = _QUOTED_PATH.sub(lambda found: f"{found[1]}…/{found[2]}{found[1]}", text)
    text = _WINDOWS_FOLDER.sub("/…", text)
    text = _USER_FOLDER.sub("/…", text)
    return _PATH.sub(lambda found: f"…/{found[1]}", text)


def _host_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "…"
    if parts.scheme.lower() == "data":
        return "data:…"
    return f"{parts.scheme}://{parts.hostname or ''}/…"


_suppressed: ContextVar[bool] = ContextVar("wan27_url_logs_suppressed", default=False)


@contextmanager
def suppress_url_logs() -> Iterator[None]:
    """Keep httpx from logging the addresses of requests made inside the block: they may be signed.

    This applies to the current context and to every task and callback created in it, not to requests of others.
    """
    for name in URL_LOGGERS:
        logging.getLogger(name).addFilter(_is_wanted)
    token = _suppressed.set(True)
    try:
        yield
    finally:
        _suppressed.reset(token)


def _is_wanted(_: logging.LogRecord) -> bool:
    return not _suppressed.get()
