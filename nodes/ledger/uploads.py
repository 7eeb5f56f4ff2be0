"""The uploads of this installation: lets them be used again, and identifies the media of a request by content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields

from .database import Database

KEEP_SECONDS = 30 * 86_400
"""Expired uploads are forgotten after a month: until then a cached URL in a graph still leads to its content."""


@dataclass(frozen=True)
class Upload:
    """A file behind a URL. The URL can be signed, so it never shows in a repr.

    Attributes:
        url: "" if only the content of a data URI is remembered.
        sha256: of the file, in hex.
        content: SHA-256 of the decoded media; the same for files that different encoders made of one source.
        kind: "image", "audio" or "video".
        storage: name of the storage that has it.
        expires_at: seconds since 1970, None if it does not expire.
        seconds: length of audio or a clip.
    """

    url: str = field(repr=False)
    sha256: str
    content: str
    kind: str
    storage: str
    expires_at: float | None = None
    seconds: float | None = None


class Uploads:
    """The table `uploads`."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def add(self, upload: Upload) -> None:
        """Remember an upload; a newer one under the same URL replaces it.

        Only hashes are kept of a data URI: it is megabytes long, and contains its file anyway.
        """
        now = self._clock()
        url = "" if upload.url.startswith("data:") else upload.url
        values = {**vars(upload), "url": url, "url_hash": _hash(upload.url), "created_at": now}
        with self._database.writing() as db:
            db.execute("DELETE FROM uploads WHERE expires_at < ?", (now - KEEP_SECONDS,))
            db.execute(
                "INSERT OR REPLACE INTO uploads (url_hash, url, sha256, content, kind, storage, expires_at, seconds, "
                "created_at) VALUES (:url_hash, :url, :sha256, :content, :kind, :storage, :expires_at, :seconds, "
                ":created_at)",
                values,
            )

    def find(self, sha256: str, storage: str, min_life_seconds: float) -> Upload | None:
        """Return the upload of this file to this storage that lives longest, if its URL lives at least this long."""
        return self._one(
            "SELECT * FROM uploads WHERE sha256 = ? AND storage = ? AND url != '' "
            "AND (expires_at IS NULL OR expires_at >= ?) ORDER BY expires_at IS NULL DESC, expires_at DESC LIMIT 1",
            (sha256, storage, self._clock() + min_life_seconds),
        )

    def by_url(self, url: str) -> Upload | None:
        """Return the upload behind a URL, expired or not: its content does not change. None if it is not from here."""
        return self._one("SELECT * FROM uploads WHERE url_hash = ?", (_hash(url),))

    def _one(self, sql: str, values: tuple[object, ...]) -> Upload | None:
        with self._database.reading() as db:
            row = db.execute(sql, values).fetchone()
        return None if row is None else Upload(**{column.name: row[column.name] for column in fields(Upload)})


def _hash(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
