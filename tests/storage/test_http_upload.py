"""What keeps secrets out of text, and how long is waited between two attempts. The sending itself: test_http.py."""

from __future__ import annotations

import asyncio
import base64
import logging
from pathlib import Path

import httpx
import pytest

from nodes.core.errors import StorageError
from nodes.storage import http_upload
from nodes.storage.base import read_chunks
from nodes.storage.http_upload import Answer, Scrubber, Upload, send
from tests.storage.servers import Host, everything_said, media, running

BASIC = base64.b64encode(b"someone:pass-word").decode()


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("Bearer abcdef123", "you sent abcdef123"),
        ("Bearer abcdef123", "you sent Bearer abcdef123!"),
        ("a/b c+d", "at a%2Fb%20c%2Bd"),
        ("a/b c+d", "at a/b%20c%2Bd"),
        (f"Basic {BASIC}", "wrong password pass-word for someone"),
    ],
)
def test_scrubber(secret: str, text: str) -> None:
    shown = Scrubber([secret, ""])(text)
    for part in ("abcdef123", "a/b", "a%2F", "pass-word", BASIC):
        assert part not in shown
    assert "•••" in shown


def test_scrubber_keeps_text_short_and_printable() -> None:
    shown = Scrubber([])("line one\r\n\x1b[31mline two\0" + "x" * 500)
    assert shown.startswith("line one [31mline two") and len(shown) == 200 and shown.isprintable()


@pytest.mark.parametrize(
    ("header", "low", "high"), [("", 1.5, 2.5), ("7", 7, 7), ("0", 0, 0), ("600", 30, 30), ("soon", 1.5, 2.5)]
)
def test_pause(header: str, low: float, high: float) -> None:
    answer = Answer(503, httpx.Headers({"Retry-After": header} if header else {}), "")
    assert low <= http_upload._pause(answer, 2.0) <= high
    assert low <= http_upload._pause(None, 2.0) <= 30 or header


def test_a_file_that_went_away(tmp_path: Path) -> None:
    file = media(tmp_path)
    file.path.unlink()

    async def work() -> None:
        async with running(Host()) as host:
            upload = Upload("PUT", f"{host.url}/x?s=SECRET-1", {}, lambda: read_chunks(file), file.size)
            await send(upload, setting="url", pause=0.001)

    with pytest.raises(StorageError, match="cannot be read") as caught:
        asyncio.run(work())
    assert "SECRET-1" not in everything_said(caught.value).replace("?s=SECRET-1", "")


@pytest.mark.parametrize("changed", [b"short", b"long" * 1000])
def test_a_file_that_changed_its_size_is_not_sent_as_if_whole(changed: bytes, tmp_path: Path) -> None:
    file = media(tmp_path)
    file.path.write_bytes(changed)

    async def work() -> list[bytes]:
        async with running(Host()) as host:
            upload = Upload("PUT", f"{host.url}/x", {}, lambda: read_chunks(file), file.size)
            with pytest.raises(StorageError, match="changed while it was sent"):
                await send(upload, setting="url", attempts=2, pause=0.001)
            return [seen.body for seen in host.seen]

    assert asyncio.run(work()) in ([], [b""])


def test_others_still_log(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Only our own requests are silent: another pack's httpx goes on logging."""
    caplog.set_level(logging.INFO)

    async def work() -> None:
        async with running(Host()) as host:
            file = media(tmp_path)
            await send(Upload("PUT", f"{host.url}/ours", {}, lambda: read_chunks(file), file.size), setting="url")
            async with httpx.AsyncClient(trust_env=False) as http:
                await http.get(f"{host.url}/theirs")

    asyncio.run(work())
    assert "/theirs" in caplog.text and "/ours" not in caplog.text
