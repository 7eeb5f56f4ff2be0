"""Files that change, and logs. Everything else about sending: test_http.py."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import httpx
import pytest

from nodes.core.errors import StorageError
from nodes.storage.base import read_chunks
from nodes.storage.http_upload import Upload, send
from tests.media_files import media_file
from tests.storage.servers import NO_PAUSE, Host, everything_said, running


def test_send_reports_a_file_that_disappeared(tmp_path: Path) -> None:
    file = media_file(tmp_path)
    file.path.unlink()

    async def work() -> None:
        async with running(Host()) as host:
            upload = Upload("PUT", f"{host.url}/x?s=SECRET-1", {}, lambda: read_chunks(file), file.size)
            await send(upload, setting="url", backoff=NO_PAUSE)

    with pytest.raises(StorageError, match="cannot be read") as caught:
        asyncio.run(work())
    assert "SECRET-1" not in everything_said(caught.value).replace("?s=SECRET-1", "")


@pytest.mark.parametrize("changed", [b"short", b"long" * 1000])
def test_send_refuses_a_file_that_changed_its_size(changed: bytes, tmp_path: Path) -> None:
    file = media_file(tmp_path)
    file.path.write_bytes(changed)

    async def work() -> list[bytes]:
        async with running(Host()) as host:
            upload = Upload("PUT", f"{host.url}/x", {}, lambda: read_chunks(file), file.size)
            with pytest.raises(StorageError, match="changed while it was being sent"):
                await send(upload, setting="url", backoff=NO_PAUSE)
            return [seen.body for seen in host.seen]

    assert asyncio.run(work()) in ([], [b""])


def test_send_suppresses_only_its_own_log(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Only our own requests are not logged: httpx still logs those of other packs."""
    caplog.set_level(logging.INFO)

    async def work() -> None:
        async with running(Host()) as host:
            file = media_file(tmp_path)
            await send(Upload("PUT", f"{host.url}/ours", {}, lambda: read_chunks(file), file.size), setting="url")
            async with httpx.AsyncClient(trust_env=False) as http:
                await http.get(f"{host.url}/theirs")

    asyncio.run(work())
    assert "/theirs" in caplog.text and "/ours" not in caplog.text


def test_send_does_not_use_a_system_proxy_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """httpx takes the proxy of Windows and macOS, but not its exceptions."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nothing listens there
    file = media_file(tmp_path)

    async def work() -> int:
        async with running(Host()) as host:
            upload = Upload("PUT", f"{host.url}/x", {}, lambda: read_chunks(file), file.size)
            return (await send(upload, setting="url", backoff=NO_PAUSE)).status

    assert asyncio.run(work()) == 201
