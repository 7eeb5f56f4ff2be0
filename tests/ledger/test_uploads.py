from __future__ import annotations

from pathlib import Path

from nodes.ledger import Ledger, Upload


def test_uploads_are_found_by_file_and_by_url(path: Path) -> None:
    now = [1000.0]
    ledger = Ledger(path, clock=lambda: now[0])

    def remember(url: str, expires_at: float | None, storage: str = "s3", sha256: str = "aa") -> None:
        ledger.uploads.add(Upload(url, sha256, f"what {sha256} shows", "video", storage, expires_at, 3.5))

    def found(min_life: float, storage: str = "s3") -> str | None:
        upload = ledger.uploads.find("aa", storage, min_life)
        return None if upload is None else upload.url

    remember("https://a", 1100.0)
    remember("https://b", 1200.0)
    assert [found(50), found(200), found(201)] == ["https://b", "https://b", None]
    assert found(50, "other") is None
    remember("https://c", None)
    assert found(10**9) == "https://c"
    remember("data:image/png;base64,AAAA", None, storage="inline")
    assert found(0, "inline") is None  # megabytes are not kept
    for url in ("https://a", "data:image/png;base64,AAAA"):
        upload = ledger.uploads.by_url(url)
        assert upload is not None
        assert (upload.sha256, upload.content) == ("aa", "what aa shows")
        assert (upload.seconds, upload.kind, upload.storage) == (3.5, "video", "s3" if upload.url else "inline")
        assert url not in repr(upload)
    remember("https://a", 1300.0, sha256="bb")
    again = ledger.uploads.by_url("https://a")
    assert again is not None
    assert again.sha256 == "bb"
    assert ledger.uploads.by_url("https://never") is None
    now[0] += 90 * 86_400
    remember("https://d", None)
    assert ledger.uploads.by_url("https://a") is None
    ledger.close()
