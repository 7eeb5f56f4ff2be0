"""Taking out of the service's answers what nobody may read later: the key, where they repeat it, and signed links."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any
from urllib.parse import quote

SHORTEST = 8
"""Characters. No real key is shorter, and a short word such as "sandbox" stands in answers for other reasons."""

_QUERY = re.compile(r"(https?://[^\s?#\"'<>]+)[?#][^\s\"'<>]*", re.IGNORECASE)


class Scrubber:
    """Takes one key out of decoded JSON and out of text, as it is and in the ways a server may have encoded it."""

    def __init__(self, key: str) -> None:
        forms: set[str] = set()
        if len(key) >= SHORTEST:
            quoted = quote(key, safe="")
            forms = {key, quoted, quote(key), re.sub("%..", lambda found: found[0].lower(), quoted)}
            forms.add(b64encode(key.encode()).decode().rstrip("="))
        self._forms = sorted(forms, key=len, reverse=True)

    def json(self, value: Any) -> Any:
        """The same JSON without the key in it, and with text only that can be written to a file.

        JSON can spell half a character ("\\ud800"), which neither SQLite nor a log takes.

        Raises:
            RecursionError: nested beyond all reason.
        """
        if isinstance(value, str):
            return self._without_key(value.encode("utf-8", "replace").decode())
        if isinstance(value, list):
            return [self.json(item) for item in value]
        if isinstance(value, dict):
            return {self.json(name): self.json(item) for name, item in value.items()}
        return value

    def text(self, text: str) -> str:
        """A text for people: without the key, and links without what comes after their path."""
        return _QUERY.sub(r"\1", self._without_key(text))

    def _without_key(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, "•••")
        return text
