"""An S3 bucket, against OpenStack Swift's S3 interface: a real server that checks signatures, dates and expiry."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from aiohttp import web

from nodes.core.errors import StorageError
from nodes.storage import StoredUrl
from nodes.storage.s3 import S3Storage
from tests.host.s3 import BUCKET, KEY_ID, SECRET, S3Server
from tests.media_files import large_file, media_file
from tests.storage.servers import NO_PAUSE, Host, everything_said, hours_left, raw, running

pytest.importorskip("obstore", reason="the extra s3 is part of the development requirements")


def put(values: dict[str, Any], folder: Path, **file: Any) -> StoredUrl:
    return asyncio.run(S3Storage(values, backoff=NO_PAUSE).put(media_file(folder, **file)))


def fetch(url: str, **arguments: Any) -> httpx.Response:
    """Fetch as the service would: with a plain client without our headers."""
    return httpx.get(url, timeout=60, trust_env=False, **arguments)


def test_put_returns_a_signed_link_that_works(s3: S3Server, tmp_path: Path) -> None:
    stored = put(s3.options(), tmp_path, name="my holiday.png")
    parts = urlsplit(stored.url)
    assert parts.path.startswith(f"/{BUCKET}/wan27/") and parts.path.endswith(".png") and "holiday" not in stored.url
    assert SECRET not in stored.url and SECRET not in repr(stored)
    assert hours_left(stored.expires_at) == pytest.approx(24, abs=0.01)
    answer = fetch(stored.url)
    assert answer.status_code == 200
    assert answer.content == (tmp_path / "my holiday.png").read_bytes()
    assert answer.headers["content-type"] == "image/png"
    part = fetch(stored.url, headers={"Range": "bytes=3-9"})
    assert (part.status_code, part.content) == (206, answer.content[3:10])


def test_objects_are_private(s3: S3Server, tmp_path: Path) -> None:
    """A link works neither unsigned, nor with another signature, object or expiry."""
    one, two = (put(s3.options(), tmp_path, data=data) for data in (b"one", b"two"))
    bare, query = one.url.split("?")
    changed = [bare, two.url.split("?")[0] + "?" + query]
    changed.append(one.url.replace("X-Amz-Expires=86400", "X-Amz-Expires=86401"))
    changed.append(one.url[:-1] + ("0" if one.url[-1] != "0" else "1"))
    assert len({*changed, one.url}) == 5
    for url in changed:
        answer = fetch(url)
        assert answer.status_code in (400, 401, 403) and answer.content not in (b"one", b"two")
    assert fetch(one.url).content == b"one"


def test_prefix_and_expiry_are_in_the_link(s3: S3Server, tmp_path: Path) -> None:
    stored = put(s3.options(prefix="/a/b", expires_hours="168"), tmp_path)
    assert urlsplit(stored.url).path.startswith(f"/{BUCKET}/a/b/")
    assert parse_qs(urlsplit(stored.url).query)["X-Amz-Expires"] == ["604800"]
    assert fetch(stored.url).status_code == 200
    bare = put(s3.options(prefix=""), tmp_path)
    assert urlsplit(bare.url).path.startswith(f"/{BUCKET}/wan27/")


def test_link_expires(s3: S3Server, tmp_path: Path) -> None:
    stored = put(s3.options(expires_hours=1 / 3600), tmp_path)
    assert fetch(stored.url).status_code in (200, 403)
    deadline = time.monotonic() + 30
    while (answer := fetch(stored.url)).status_code == 200 and time.monotonic() < deadline:
        pass
    assert answer.status_code == 403 and "expired" in answer.text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"secret_access_key": "wrong-SECRET-42"}, ["secret_access_key under [storage.s3]", "SignatureDoesNotMatch"]),
        ({"access_key_id": "wan27:nobody"}, ["access_key_id under"]),
        ({"bucket": "not-there"}, ["'not-there'", "NoSuchBucket", "bucket under [storage.s3]"]),
        ({"region": "eu-north-7"}, ["region under [storage.s3]", "us-east-1"]),
    ],
)
def test_refusals_name_the_setting(
    s3: S3Server, changed: dict[str, Any], said: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(StorageError) as caught:
        put(s3.options(**changed), tmp_path)
    for text in said:
        assert text in str(caught.value)
    everything = everything_said(caught.value) + caplog.text
    for secret in (SECRET, "wrong-SECRET-42", "X-Amz-Signature=", "StringToSign"):
        assert secret not in everything.replace('"wrong-SECRET-42"', "")


def test_wrong_clock_is_named(s3_with_another_time: S3Server, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Signed links of a computer with a wrong clock do not work. The message says by how much it is wrong."""
    said = "60 minutes behind" if "behind" in request.node.name else "120 minutes ahead of"
    with pytest.raises(StorageError, match=said):
        put(s3_with_another_time.options(), tmp_path)


def test_links_never_reach_the_log(s3: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """httpx logs every address at INFO, the level of ComfyUI's log."""
    caplog.set_level(logging.DEBUG)
    put(s3.options(), tmp_path)
    assert "X-Amz" not in caplog.text and SECRET not in caplog.text


def test_secrets_are_in_no_repr_or_error(s3: S3Server) -> None:
    storage = S3Storage(s3.options(session_token="token-SECRET-1"))
    assert "SECRET" not in repr(storage) + storage.name + storage.privacy_notice + str(storage)


HUNDRED_MB = """
import asyncio, sys
from pathlib import Path
from nodes.media.files import describe
from nodes.storage.s3 import S3Storage
from tests.systems import peak_memory
url, bucket, key, secret, small, large = sys.argv[1:]
values = {"endpoint": url, "bucket": bucket, "access_key_id": key, "secret_access_key": secret}
storage = S3Storage(values)
def put(path):
    print(asyncio.run(storage.put(describe(Path(path)))).url)
    return peak_memory()
before = put(small)
print(put(large) - before)
"""


def test_put_of_100_mb_keeps_memory_flat(s3: S3Server, tmp_path: Path) -> None:
    small, large = large_file(tmp_path, 1_000_000, "small.mp4"), large_file(tmp_path, 100_000_007, "large.mp4")
    arguments = [s3.url, BUCKET, KEY_ID, SECRET, str(small.path), str(large.path)]
    done = subprocess.run([sys.executable, "-c", HUNDRED_MB, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    _, url, grown = done.stdout.split()
    assert int(grown) < 16 << 20
    digest, size = hashlib.sha256(), 0
    with httpx.stream("GET", url, timeout=60, trust_env=False) as answer:
        assert answer.headers["content-type"] == "video/mp4"
        for chunk in answer.iter_bytes():
            digest.update(chunk)
            size += len(chunk)
    assert (size, digest.hexdigest()) == (large.size, large.sha256)


def test_put_reports_progress_and_retries(tmp_path: Path) -> None:
    """The bucket is busy at first: S3 answers 503 SlowDown."""
    told: list[int] = []
    host = Host(web.Response(status=503, text="<Error><Code>SlowDown</Code></Error>"), web.Response(status=200))

    async def work() -> StoredUrl:
        async with running(host):
            storage = S3Storage({**OFFLINE, "endpoint": host.url}, backoff=NO_PAUSE)
            return await storage.put(large_file(tmp_path, 6_000_000), on_progress=lambda done, _: told.append(done))

    stored = asyncio.run(work())
    assert len(host.seen) == 2 and told[-1] == 6_000_000
    assert urlsplit(stored.url).path == host.seen[-1].path.split("?")[0]


def test_put_interrupted_leaves_no_object(s3: S3Server, tmp_path: Path) -> None:
    """A PUT is atomic: after a cut in the middle the object does not exist."""
    kept: list[str] = []

    async def cut_off() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """Pass the head and a part of the body on to the server, then hold the rest back."""
            target = urlsplit(s3.url)
            _, back = await asyncio.open_connection(target.hostname, target.port)
            head = await reader.readuntil(b"\r\n\r\n")
            kept.append(head.split(b" ")[1].decode())
            back.write(head + await reader.readexactly(1_000_000))
            await back.drain()
            arrived.set()
            while await reader.read(1 << 16):
                pass
            back.close()
            writer.close()
            gone.set()

        arrived, gone = asyncio.Event(), asyncio.Event()
        async with raw(talk) as url:  # type: ignore[arg-type]
            task = asyncio.ensure_future(S3Storage(s3.options(endpoint=url)).put(large_file(tmp_path, 30_000_000)))
            await asyncio.wait_for(arrived.wait(), 60)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(gone.wait(), 60)

    asyncio.run(cut_off())
    key = kept[0].split("?")[0].removeprefix(f"/{BUCKET}/")
    storage = S3Storage(s3.options())
    from datetime import timedelta

    link = asyncio.run(storage.sign("GET", key, timedelta(minutes=1)))
    assert fetch(link).status_code == 404


OFFLINE = {"bucket": "my-bucket", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "off-SECRET-12345"}


@pytest.mark.parametrize(
    ("values", "start"),
    [
        ({}, "https://my-bucket.s3.us-east-1.amazonaws.com/wan27/"),
        ({"region": "eu-west-3"}, "https://my-bucket.s3.eu-west-3.amazonaws.com/wan27/"),
        ({"addressing": "path"}, "https://s3.us-east-1.amazonaws.com/my-bucket/wan27/"),
        ({"bucket": "my.bucket"}, "https://s3.us-east-1.amazonaws.com/my.bucket/wan27/"),
        ({"endpoint": "https://acc.r2.cloudflarestorage.com/", "region": "auto"}, "https://acc.r2.cloudflarestorage.com/my-bucket/"),
        ({"endpoint": "https://acc.r2.cloudflarestorage.com/my-bucket"}, "https://acc.r2.cloudflarestorage.com/my-bucket/wan27/"),
        ({"endpoint": "s3.us-west-004.backblazeb2.com"}, "https://s3.us-west-004.backblazeb2.com/my-bucket/wan27/"),
        ({"endpoint": "https://oss-cn-hangzhou.aliyuncs.com"}, "https://my-bucket.oss-cn-hangzhou.aliyuncs.com/wan27/"),
        ({"endpoint": "http://minio.lan:9000", "addressing": "virtual"}, "http://my-bucket.minio.lan:9000/wan27/"),
    ],
)  # fmt: skip
def test_endpoint_forms_of_providers(values: dict[str, str], start: str) -> None:
    from datetime import timedelta

    storage = S3Storage({**OFFLINE, **values})
    link = asyncio.run(storage.sign("GET", "wan27/x.png", timedelta(hours=1)))
    assert link.startswith(start) and "X-Amz-Signature=" in link


def test_session_token_is_in_the_link() -> None:
    from datetime import timedelta

    storage = S3Storage({**OFFLINE, "session_token": "FwoGZXIvYXdzE"})
    link = asyncio.run(storage.sign("GET", "x.png", timedelta(hours=1)))
    assert parse_qs(urlsplit(link).query)["X-Amz-Security-Token"] == ["FwoGZXIvYXdzE"]


@pytest.mark.parametrize(
    ("status", "body", "headers", "said"),
    [
        (403, "<Error><Code>AccessDenied</Code><Message>No</Message></Error>", {}, "rights to put and to get"),
        (301, "<Error><Code>PermanentRedirect</Code></Error>", {"x-amz-bucket-region": "eu-west-3"}, "'eu-west-3'"),
        (400, "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>", {}, "'eu-west-1'"),
        (403, "<Error><Code>SecondLevelDomainForbidden</Code></Error>", {}, 'STORAGE_S3_ADDRESSING) to "virtual"'),
        (403, "<Error><Code>InvalidAccessKeyId</Code></Error>", {}, "key does not exist. Check access_key_id under"),
        (400, "<Error><Code>ExpiredToken</Code></Error>", {}, "session_token under"),
        (404, "<html><h1>Not Found</h1></html>", {}, "endpoint under"),
        (500, "<Error><Code>InternalError</Code><Message>off-SECRET-12345</Message></Error>", {}, "try again later"),
    ],
)  # fmt: skip
def test_documented_errors_of_other_servers_name_the_setting(
    status: int, body: str, headers: dict[str, str], said: str, tmp_path: Path
) -> None:
    """Errors that Swift does not produce, as AWS and OSS document them."""

    async def work() -> None:
        async with running(Host(web.Response(status=status, text=body, headers=headers))) as host:
            await S3Storage({**OFFLINE, "endpoint": host.url}, backoff=NO_PAUSE).put(media_file(tmp_path))

    with pytest.raises(StorageError) as caught:
        asyncio.run(work())
    assert said in str(caught.value)
    assert OFFLINE["secret_access_key"] not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"bucket": ""}, "bucket under [storage.s3] (or WAN27_STORAGE_S3_BUCKET)"),
        ({"bucket": "../x"}, "bucket under"),
        ({"access_key_id": ""}, "AWS_ACCESS_KEY_ID"),
        ({"secret_access_key": ""}, "AWS_SECRET_ACCESS_KEY"),
        ({"endpoint": "https://u:p@host"}, "endpoint under"),
        ({"endpoint": "https://host/?x=1"}, "endpoint under"),
        ({"prefix": "a/../b"}, "prefix under"),
        ({"expires_hours": 169}, "at most 168"),
        ({"addressing": "both"}, "auto, path, virtual"),
    ],
)
def test_settings_that_cannot_be_used_are_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(StorageError) as caught:
        S3Storage({**OFFLINE, **changed})
    assert said in str(caught.value)
    assert "off-SECRET" not in everything_said(caught.value).replace(repr(OFFLINE), "")


def test_missing_obstore_shows_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(StorageError) as caught:
        S3Storage(OFFLINE)
    assert f'"{sys.executable}" -m pip install obstore' in str(caught.value)
