"""What was uploaded where: lets an upload be used again, and gives a request its media by content."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, fields

from .database import Database

KEEP_SECONDS = 30 * 86_400
"""Forget expired uploads after a month: until then a cached URL in a graph still leads to its content."""


@dataclass(frozen=True)
class Upload:
    """A file behind a URL. The URL can be signed, so it never shows in a repr.

    Attributes:
        url: "" where only the content of a data URI is remembered.
        sha256: of the file, in hex.
        content: SHA-256 of what the file shows; the same for files that different encoders made of one source.
        kind: "image", "audio" or "video".
        storage: name of the storage that has it.
        expires_at: seconds since 1970, None where it does not end.
        seconds: length of a sound or clip.
    """

    url: str = field(repr=False)
    sha256: str
    content: str
    kind: str
    storage: str
    expires_at: float | None
    seconds: float | None


class Uploads:
    """The table `uploads`."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def remember(
        self,
        url: str,
        *,
        sha256: str,
        content: str,
        kind: str,
        storage: str,
        expires_at: float | None,
        seconds: float | None,
    ) -> None:
        """Remember an upload; a newer one under the same URL replaces it.

        Of a data URI only hashes are kept: it is megabytes long, and carries its file with it.
        """
        now = self._clock()
        with self._database.writing() as db:
            db.execute("DELETE FROM uploads WHERE expires_at < ?", (now - KEEP_SECONDS,))
            db.execute(
                "INSERT OR REPLACE INTO uploads (url_hash, url, sha256, content, kind, storage, expires_at, seconds, "
                "created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    _key(url),
                    "" if url.startswith("data:") else url,
                    sha256,
                    content,
                    kind,
                    storage,
                    expires_at,
                    seconds,
                    now,
                ),
            )

    def find(self, sha256: str, storage: str, min_life_seconds: float) -> Upload | None:
        """The upload of this file that lives longest, if it lives long enough."""
        with self._database.reading() as db:
            row = db.execute(
                "SELECT * FROM uploads WHERE sha256 = ? AND storage = ? AND url != '' "
                "AND (expires_at IS NULL OR expires_at >= ?) ORDER BY expires_at IS NULL DESC, expires_at DESC LIMIT 1",
                (sha256, storage, self._clock() + min_life_seconds),
            ).fetchone()
        return None if row is None else _upload(row)

    def of_url(self, url: str) -> Upload | None:
        """What is behind a URL, as far as it was uploaded from here. Expired ones count: content does not change."""
        with self._database.reading() as db:
            row = db.execute("SELECT * FROM uploads WHERE url_hash = ?", (_key(url),)).fetchone()
        return None if row is None else _upload(row)


def _upload(row: sqlite3.Row) -> Upload:
    return Upload(**{field.name: row[field.name] for field in fields(Upload)})


def _key(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
