"""The host's own upload: what the conformance suite in tests/hosts does not ask of every host."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from nodes.api.connection import Connection
from nodes.core.backoff import Backoff
from nodes.core.errors import StorageError
from nodes.media.files import describe
from nodes.storage import StoredUrl, kind_in_use, make_storage
from nodes.storage.host import TICKET_SECONDS, HostStorage
from nodes.storage.http_upload import Upload, UploadResponse
from tests.hosts.dashscope import DashScope
from tests.hosts.fixtures import UPLOADING, host, only, running
from tests.hosts.kie import Kie
from tests.hosts.replicate import Replicate
from tests.hosts.stand_in import StandIn
from tests.service import at
from tests.storage.servers import everything_said

__all__ = ["host", "running"]

QUICK = Backoff(first_seconds=0.01, longest_seconds=0.02)
ELSEWHERE = {name: Connection(name, "https://api.example", "a-key-of-a-test") for name in ("kie", "fal")}


def connection_to(host: StandIn) -> Connection:
    addresses = {setting: host.urls[origin] for setting, origin in host.settings.items()}
    return Connection(host.name, api_key=host.key, **addresses)


class Uploads:
    """One upload node, and files of a few bytes."""

    def __init__(self, host: StandIn, folder: Path) -> None:
        self.host, self.folder = host, folder
        self.storage = HostStorage(connection_to(host), backoff=QUICK, clock=host.now)

    async def put(self, *contents: bytes) -> list[StoredUrl]:
        return await asyncio.gather(*(self.storage.put(self.file(content)) for content in contents))

    def run(self, *contents: bytes) -> list[StoredUrl]:
        return asyncio.run(self.put(*contents))

    def file(self, content: bytes) -> Any:
        path = self.folder / f"{content.decode()}.png"
        path.write_bytes(content)
        return describe(path)


@pytest.fixture
def uploads(host: StandIn, tmp_path: Path) -> Uploads:
    return Uploads(host, tmp_path)


@only(*UPLOADING)
def test_put_stores_each_file_for_as_long_as_the_host_keeps_it(uploads: Uploads, host: StandIn) -> None:
    stored = uploads.run(b"one", b"two")
    assert [host.files[each.url].data for each in stored] == [b"one", b"two"]
    for each in stored:
        assert each.expires_at == pytest.approx(host.now() + host.upload_seconds, abs=60)


@only(*UPLOADING)
@pytest.mark.parametrize("kind", ["server_error", "unavailable"])
def test_put_is_repeated_after_trouble(uploads: Uploads, host: StandIn, kind: str) -> None:
    host.faults(*at("upload", kind, kind))
    [stored] = uploads.run(b"one")
    assert host.files[stored.url].data == b"one"
    assert host.count["upload"] == 3


@only(*UPLOADING)
def test_put_tells_what_the_host_said_and_the_way_out(uploads: Uploads, host: StandIn) -> None:
    host.faults(*at("upload", "server_error", count=None))
    with pytest.raises(StorageError) as caught:
        uploads.run(b"one")
    text = str(caught.value)
    assert all(part in text for part in ("did not take the file", "500", "[storage] in config.toml"))
    assert not [secret for secret in host.secrets if secret in everything_said(caught.value)]


@only(*UPLOADING)
def test_put_with_a_wrong_key_names_the_setting(uploads: Uploads, host: StandIn) -> None:
    uploads.storage = HostStorage(replace(connection_to(host), api_key="sk-of-nobody-0123456789"), backoff=QUICK)
    with pytest.raises(StorageError, match=host.key_variable) as caught:
        uploads.run(b"one")
    assert "sk-of-nobody" not in everything_said(caught.value)
    assert host.files == {}


@only(*UPLOADING)
def test_name_differs_between_accounts_and_hosts(host: StandIn) -> None:
    mine, other = connection_to(host), replace(connection_to(host), api_key="sk-of-another-account")
    names = [HostStorage(each).name for each in (mine, mine, other, ELSEWHERE["kie"])]
    assert names[0] == names[1] and len(set(names)) == 3
    assert host.key not in "".join(names)


@only("dashscope")
def test_permission_that_expired_between_two_files_is_replaced(uploads: Uploads, host: DashScope) -> None:
    """As far as the storage can tell by its own clock, the permission is still good."""
    clock = host.now()
    uploads.storage = HostStorage(connection_to(host), backoff=QUICK, clock=lambda: clock)
    uploads.run(b"one")
    host.ahead = 600
    [stored] = uploads.run(b"two")
    assert host.files[stored.url].data == b"two"
    assert host.count["policy"] == 2


@only("dashscope")
def test_permission_is_used_for_a_minute(uploads: Uploads, host: DashScope) -> None:
    uploads.run(b"one", b"two")
    host.ahead = TICKET_SECONDS - 5
    uploads.run(b"three")
    assert host.count["policy"] == 1
    host.ahead = TICKET_SECONDS + 5
    uploads.run(b"four")
    assert host.count["policy"] == 2


@only("kie")
def test_equal_files_of_two_names_are_one_file_at_the_host(uploads: Uploads, host: Kie) -> None:
    first, second = (asyncio.run(uploads.storage.put(uploads.file(content))) for content in (b"one", b"two"))
    assert first.url != second.url
    assert uploads.run(b"one")[0].url == first.url


@only("replicate")
def test_file_that_the_host_does_not_take_is_refused_before_it_is_sent(uploads: Uploads, host: Replicate) -> None:
    file = replace(uploads.file(b"one"), size=100_000_001)
    with pytest.raises(StorageError, match=r"up to 100 MB, and this image has 100,000,001 bytes"):
        asyncio.run(uploads.storage.put(file))
    assert host.seen == []


@pytest.mark.parametrize(
    "address", ["https://10.0.0.1/up", "http://public.example/up", "https://[::1]/up", "ftp://x/up"]
)
def test_address_for_an_upload_must_be_public(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host answers to the initiation with an address of the user's own network."""
    sent: list[str] = []

    async def send(upload: Upload, **_: Any) -> UploadResponse:
        sent.append(upload.url)
        answer = json.dumps({"upload_url": address, "file_url": "https://public.example/f"})
        return UploadResponse(200, httpx.Headers(), answer)

    async def resolve(host: str) -> list[str]:
        return ["192.168.0.7"]

    monkeypatch.setattr("nodes.storage.host.send", send)
    fal = Connection("fal", "https://queue.example", "a-key-of-a-test", upload_url="https://rest.example")
    path = tmp_path / "one.png"
    path.write_bytes(b"one")
    with pytest.raises(StorageError, match=r"private network|only https|not an http"):
        asyncio.run(HostStorage(fal, resolve=resolve).put(describe(path)))
    assert sent == ["https://rest.example/storage/upload/initiate?storage_type=fal-cdn-v3"]


@pytest.mark.parametrize(
    "stored", ["http://public.example/f", "https://127.0.0.1/f", "https://nas.local/f", "file:///f"]
)
def test_stored_file_must_be_public(stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def send(upload: Upload, **_: Any) -> UploadResponse:
        return UploadResponse(200, httpx.Headers(), json.dumps({"code": 200, "data": {"downloadUrl": stored}}))

    monkeypatch.setattr("nodes.storage.host.send", send)
    kie = Connection("kie", "https://api.example", "a-key-of-a-test", upload_url="https://up.example")
    path = tmp_path / "one.png"
    path.write_bytes(b"one")
    with pytest.raises(StorageError, match="not a public https URL"):
        asyncio.run(HostStorage(kie).put(describe(path)))


@pytest.mark.parametrize(
    ("kind", "name", "used"),
    [
        ("auto", "dashscope", "host"),
        ("auto", "fal", "host"),
        ("auto", "replicate", "host"),
        ("auto", "kie", "host"),
        ("auto", "novita", "inline"),
        ("auto", "ppio", "inline"),
        ("s3", "fal", "s3"),
        ("http", "kie", "http"),
        ("inline", "fal", "inline"),
        ("auto", "sandbox", "sandbox"),
        ("s3", "sandbox", "sandbox"),
    ],
)
def test_kind_in_use_is_the_configured_one_or_the_hosts_own(kind: str, name: str, used: str) -> None:
    assert kind_in_use(kind, Connection(name, "https://api.example", "a-key-of-a-test")) == used


def test_inline_is_refused_for_a_host_that_takes_no_images_inside_the_request(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r'Kie, which takes no images inside the request. Set kind = "auto"'):
        make_storage("inline", {}, connection=ELSEWHERE["kie"], directory=tmp_path)


def test_privacy_notice_is_given_if_others_can_read_the_files() -> None:
    public, private = (
        HostStorage(ELSEWHERE["fal"]),
        HostStorage(Connection("replicate", "https://api.example", "a-key")),
    )
    assert "uploaded to fal. Anyone who has a file" in public.privacy_notice
    assert (public.public_links, private.public_links, private.privacy_notice) == (True, False, "")
