"""Servers that take a file by PUT or by a form."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from nodes.core.errors import StorageError
from nodes.storage import StoredUrl
from nodes.storage.http import HttpStorage
from nodes.storage.presets import load_presets
from tests.media_files import large_file, media_file
from tests.storage.servers import NO_PAUSE, Host, Seen, everything_said, hours_left, raw, running
from tests.systems import is_open

KEY = "up-key-SECRET-0123456789"


def put(host: Host, folder: Path, values: Callable[[str], dict[str, Any]], **file: Any) -> StoredUrl:
    """Run the server, upload one file, and return the result of the storage."""

    async def work() -> StoredUrl:
        async with running(host):
            return await HttpStorage(values(host.url), backoff=NO_PAUSE).put(media_file(folder, **file))

    return asyncio.run(work())


def as_put(url: str) -> dict[str, Any]:
    return {
        "url": f"{url}/up/{{name}}",
        "public_url": "https://files.example/{name}",
        "headers": {"Authorization": f"Bearer {KEY}"},
    }


def as_form(url: str, response: str = "json:data.url", **more: Any) -> dict[str, Any]:
    return {"method": "POST", "url": f"{url}/upload", "response": response, **more}


def test_put_sends_the_file_and_fills_the_public_url(tmp_path: Path) -> None:
    host = Host()
    stored = put(host, tmp_path, as_put, name="my holiday.png")
    (seen,) = host.seen
    name = seen.path.removeprefix("/up/")
    assert stored.url == f"https://files.example/{name}"
    assert name.endswith(".png") and len(name) > 30 and "holiday" not in name
    assert seen.body == (tmp_path / "my holiday.png").read_bytes()
    assert seen.headers["content-type"] == "image/png"
    assert seen.headers["content-length"] == str(len(seen.body))
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert hours_left(stored.expires_at) == pytest.approx(24, abs=0.01)


def test_put_gives_every_file_a_name_of_its_own(tmp_path: Path) -> None:
    assert put(Host(), tmp_path, as_put).url != put(Host(), tmp_path, as_put).url


def test_post_sends_a_form_and_reads_the_url_from_json(tmp_path: Path) -> None:
    host = Host(web.json_response({"data": {"url": "https://files.example/x.png?sig=1"}}))
    fields = {"folder": "wan/{name}", "keep": "{hours}h {seconds}", 'quote"d': "a\r\nb"}
    stored = put(host, tmp_path, lambda url: as_form(url, form=fields, file_field="the file", expires_hours=0.5))
    (seen,) = host.seen
    name, mime, data = seen.files["the file"]
    assert stored.url == "https://files.example/x.png?sig=1"
    assert seen.form["folder"] == f"wan/{name}" and seen.form["keep"] == "0.5h 1800"
    assert (mime, data) == ("image/png", (tmp_path / "a.png").read_bytes())
    assert hours_left(stored.expires_at) == pytest.approx(0.5, abs=0.01)


def test_post_reads_the_url_from_a_text_response(tmp_path: Path) -> None:
    host = Host(web.Response(text=" https://files.example/abc.png\n"))
    assert put(host, tmp_path, lambda url: as_form(url, "text")).url == "https://files.example/abc.png"


# The documented response of each service, and what the request must contain. Sources: nodes/storage/presets.json.
DOCUMENTED: dict[str, tuple[Callable[[Seen], web.Response], str, str, dict[str, str], float]] = {
    "litterbox": (
        lambda seen: web.Response(text="https://litter.catbox.moe/abc123.png"),
        "https://litter.catbox.moe/abc123.png",
        "fileToUpload",
        {"reqtype": "fileupload", "time": "24h"},
        24,
    ),
    "uguu": (
        lambda seen: web.json_response(
            {"success": True, "files": [{"hash": "1", "name": "x.png", "url": "https://a.uguu.se/x.png", "size": 1}]}
        ),
        "https://a.uguu.se/x.png",
        "files[]",
        {},
        3,
    ),
    "tmpfiles": (
        lambda seen: web.json_response({"status": "success", "data": {"url": "https://tmpfiles.org/12/x.png"}}),
        "https://tmpfiles.org/dl/12/x.png",
        "file",
        {"expire": "86400"},
        24,
    ),
    "kie": (
        lambda seen: web.json_response(
            {
                "success": True,
                "code": 200,
                "msg": "File uploaded successfully",
                "data": {
                    "fileName": seen.form["fileName"],
                    "downloadUrl": f"https://tempfile.redpandaai.co/1/{seen.form['fileName']}",
                },
            }
        ),
        "https://tempfile.redpandaai.co/1/{name}",
        "file",
        {"uploadPath": "wan27", "fileName": "{name}"},
        24,
    ),
    "wavespeed": (
        lambda seen: web.json_response(
            {
                "code": 200,
                "message": "success",
                "data": {"type": "image", "download_url": "https://files.example/w.png", "filename": "x", "size": 1},
            }
        ),
        "https://files.example/w.png",
        "file",
        {},
        168,
    ),
}


def test_presets_all_have_a_server_here() -> None:
    assert set(DOCUMENTED) == set(load_presets())


@pytest.mark.parametrize("preset", DOCUMENTED)
def test_preset_speaks_the_documented_protocol(preset: str, tmp_path: Path) -> None:
    answer, url, file_field, form, hours = DOCUMENTED[preset]
    host = Host(answer)
    needs_key = "{api_key}" in json.dumps(load_presets()[preset].options)
    key = {"api_key": KEY} if needs_key else {}
    stored = put(host, tmp_path, lambda at: {"preset": preset, "url": f"{at}/upload", **key})
    (seen,) = host.seen
    name, mime, _ = seen.files[file_field]
    assert stored.url == url.replace("{name}", name)
    assert seen.form == {field: value.replace("{name}", name) for field, value in form.items()}
    assert mime == "image/png" and name.endswith(".png")
    assert seen.headers.get("authorization") == (f"Bearer {KEY}" if needs_key else None)
    assert seen.headers["user-agent"] == "wan27-video"
    assert hours_left(stored.expires_at) == pytest.approx(hours, abs=0.01)


@pytest.mark.parametrize("preset", load_presets())
def test_preset_has_a_source_https_and_a_privacy_notice(preset: str) -> None:
    """Source, https, and a warning that the file is public."""
    found = load_presets()[preset]
    assert found.source.startswith("https://") and found.limits
    storage = HttpStorage({"preset": preset, "api_key": KEY})
    assert found.options["url"].startswith("https://")
    assert storage.public_links
    assert "anyone who has the link" in storage.privacy_notice and found.title in storage.privacy_notice
    assert KEY not in storage.privacy_notice + storage.name + repr(storage)


def test_preset_yields_to_what_the_user_sets(tmp_path: Path) -> None:
    host = Host(web.Response(text="https://files.example/abc.png"))
    put(host, tmp_path, lambda url: {"preset": "litterbox", "url": url, "expires_hours": "1", "form": {"more": "x"}})
    assert host.seen[0].form == {"reqtype": "fileupload", "time": "1h", "more": "x"}


HTML = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>please</body></html>"


@pytest.mark.parametrize(
    ("answer", "response", "said"),
    [
        (web.Response(text=HTML, content_type="text/html"), "text", ["web page titled “Sign in”", "response under"]),
        (web.Response(text=HTML, content_type="text/html"), "json:data.url", ["web page", "URL at data.url"]),
        (web.Response(text=""), "text", ["an empty answer"]),
        (web.Response(text=""), "json:data.url", ["an empty answer"]),
        (web.json_response({"data": {}, "message": "no space"}), "json:data.url", ["no space", "data.url"]),
        (web.json_response({"data": {"url": None}}), "json:data.url", ["data.url"]),
        (web.json_response({"data": {"url": "javascript:alert(1)"}}), "json:data.url", ["data.url"]),
        (web.json_response({"data": {"url": "/relative/x.png"}}), "json:data.url", ["data.url"]),
        (web.json_response({"data": {"url": "https://a.example/x y.png"}}), "json:data.url", ["data.url"]),
        (web.json_response([]), "json:0.url", ["0.url"]),
        (web.Response(text="[" * 100_000), "json:data.url", ["data.url"]),
        (web.Response(text="https://a.example/" + "x" * 5000), "text", ["the URL and nothing else"]),
        (web.Response(status=413, text="too big"), "text", ["413", "too big", "too large there (1,500 bytes)"]),
        (web.Response(status=302, headers={"Location": "https://o.org/u?t=1"}), "text", ["https://o.org/u (302)"]),
        (web.Response(status=307, headers={"Location": "/up2"}), "text", ["/up2", "not followed"]),
        (web.Response(status=401, text="bad key"), "text", ["401", "bad key", "headers under [storage.http]"]),
        (web.Response(status=404, text=HTML), "text", ["404", "url under [storage.http] (or WAN27_STORAGE_HTTP_URL)"]),
        (web.Response(status=405), "text", ["method under", "now POST"]),
        (web.Response(status=400, text="no field"), "text", ["400", "file_field and form"]),
        (web.Response(status=503, text="busy"), "text", ["503", "busy", "later"]),
    ],
)  # fmt: skip
def test_responses_without_a_usable_url_name_the_setting(
    answer: web.Response, response: str, said: list[str], tmp_path: Path
) -> None:
    host = Host(answer)
    with pytest.raises(StorageError) as caught:
        put(host, tmp_path, lambda url: as_form(url, response))
    for text in said:
        assert text in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_redirects_are_not_followed_and_headers_reach_no_other_host(tmp_path: Path) -> None:
    """A redirect is an error, and the other host receives nothing."""
    other = Host()

    async def work() -> None:
        async with running(other):
            host = Host(web.Response(status=307, headers={"Location": f"{other.url}/steal"}))
            async with running(host):
                with pytest.raises(StorageError, match="not followed"):
                    await HttpStorage(as_put(host.url)).put(media_file(tmp_path))

    asyncio.run(work())
    assert other.seen == []


def test_temporary_statuses_are_retried(tmp_path: Path) -> None:
    host = Host(
        web.Response(status=503, headers={"Retry-After": "0"}), web.Response(status=429), web.Response(status=201)
    )
    stored = put(host, tmp_path, as_put)
    assert len(host.seen) == 3
    assert len({seen.body for seen in host.seen}) == 1
    assert stored.url.endswith(host.seen[-1].path.removeprefix("/up"))


def test_refusals_are_not_retried(tmp_path: Path) -> None:
    host = Host(web.Response(status=403))
    with pytest.raises(StorageError):
        put(host, tmp_path, as_put)
    assert len(host.seen) == 1


def test_broken_connections_are_retried(tmp_path: Path) -> None:
    tries = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        await reader.readuntil(b"\r\n\r\n")
        if tries < 3:
            writer.close()
            return
        await reader.readexactly(1500)
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def work() -> None:
        async with raw(talk) as url:
            await HttpStorage(as_put(url), backoff=NO_PAUSE).put(media_file(tmp_path))

    asyncio.run(work())
    assert tries == 3


def test_unreachable_host_is_named_with_the_setting(tmp_path: Path) -> None:
    async def work() -> None:
        async with raw(lambda reader, writer: writer.close()) as url:
            pass
        await HttpStorage(as_put(url), backoff=NO_PAUSE).put(media_file(tmp_path))

    with pytest.raises(StorageError, match=r"did not reach 127\.0\.0\.1.*Check url under") as caught:
        asyncio.run(work())
    assert KEY not in everything_said(caught.value)


def test_refusal_during_the_upload_is_reported(tmp_path: Path) -> None:
    """413 arrives before the end of the body, and the server closes the connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo big!")
        await writer.drain()
        await reader.read(1 << 20)
        writer.close()

    async def work() -> None:
        async with raw(talk) as url:
            await HttpStorage(as_put(url), backoff=NO_PAUSE).put(large_file(tmp_path, 20_000_001))

    with pytest.raises(StorageError, match=r"413.*too big|did not reach"):
        asyncio.run(work())


def test_progress_counts_the_bytes_of_the_file(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    host = Host(web.json_response({"data": {"url": "https://files.example/x.mp4"}}))

    async def work() -> None:
        async with running(host):
            file = large_file(tmp_path, 3_000_001)
            await HttpStorage(as_form(host.url)).put(file, on_progress=lambda done, total: told.append((done, total)))

    asyncio.run(work())
    assert [done for done, _ in told] == sorted(done for done, _ in told) and len(told) > 5
    assert told[-1] == (3_000_001, 3_000_001)
    assert len(host.seen[0].files["file"][2]) == 3_000_001


def test_put_interrupted_closes_file_and_connection(tmp_path: Path) -> None:
    """The server never responds. Cancelling ends the upload at once and leaves no file open."""

    async def work() -> tuple[list[str], bool]:
        hung, gone = asyncio.Event(), asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            hung.set()
            while await reader.read(1 << 16):
                pass
            gone.set()
            writer.close()

        file = large_file(tmp_path, 30_000_000)
        async with raw(talk) as url:
            # The server reads until the connection is closed.
            task = asyncio.ensure_future(HttpStorage(as_put(url)).put(file))
            await asyncio.wait_for(hung.wait(), 60)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            opened = is_open(file.path)
            await asyncio.wait_for(gone.wait(), 60)
        return opened, gone.is_set()

    opened, gone = asyncio.run(work())
    assert gone and not opened


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "url under [storage.http] (or WAN27_STORAGE_HTTP_URL)"),
        ({"url": "ftp://host/{name}"}, "http(s) URL"),
        ({"url": "https://us:pw-SECRET@host/{name}"}, "password"),
        ({"url": "https://host/{name}"}, "public_url"),
        ({"url": "https://host/up", "public_url": "https://host/{name}"}, "url under"),
        ({"url": "https://host/{name}", "public_url": "https://host/x"}, "{name}"),
        ({"url": "https://host/{name}", "response": "xml"}, "json:"),
        ({"url": "https://host/{name}", "response": "text", "method": "PATCH"}, "PUT, POST"),
        ({"url": "https://host/{name}", "response": "text", "expires_hours": 0}, "expires_hours"),
        ({"url": "https://host/{name}", "response": "text", "expires_hours": "soon"}, "expires_hours"),
        ({"url": "https://host/{name}", "response": "text", "headers": "x"}, "headers under"),
        ({"url": "https://host/{name}", "response": "text", "headers": {"a b": "c"}}, "'a b'"),
        ({"url": "https://host/{name}", "response": "text", "headers": {"X": "a\r\nY: pw-SECRET"}}, "'X'"),
        ({"url": "https://host/{name}", "response": "text", "headers": {"X": "pw-SECRET "}}, "'X'"),
        ({"url": "https://host/{name}", "response": "text", "headers": {"Host": "x"}}, "Host"),
        ({"url": "https://host/{name}", "response": "text", "headers": {"X": ["pw-SECRET"]}}, "'X'"),
        ({"url": 7}, "text in quotes"),
        ({"preset": "imgur"}, "litterbox, uguu"),
        ({"preset": "kie"}, "api_key under [storage.http] (or WAN27_STORAGE_HTTP_API_KEY)"),
    ],
)
def test_settings_that_cannot_be_used_are_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(StorageError) as caught:
        HttpStorage(values)
    assert said in str(caught.value)
    assert "SECRET" not in everything_said(caught.value)


SECRETS = {
    "headers": {"Authorization": f"Bearer {KEY}", "X-Basic": f"Basic {base64.b64encode(b'me:pw-SECRET-9').decode()}"},
    "form": {"token": "form token-SECRET/1+2"},
}
QUERY = "query-SECRET-7"
ECHOES = [KEY, "pw-SECRET-9", "form token-SECRET/1+2", "form%20token-SECRET%2F1%2B2", QUERY]


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 413, 503])
def test_secrets_that_a_server_repeats_are_redacted(
    status: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Location": f"https://other.example/{KEY}/x"} if status == 302 else {}
    host = Host(web.Response(status=status, text=" ".join(ECHOES), headers=headers))
    with pytest.raises(StorageError) as caught:
        put(host, tmp_path, lambda url: {**as_form(url, **SECRETS), "url": f"{url}/up?key={QUERY}"})
    said = everything_said(caught.value) + "\n".join(
        record.getMessage() for record in caplog.records if record.name.startswith(("nodes", "httpx", "httpcore"))
    )
    assert [secret for secret in ECHOES if secret in said] == []
    assert host.seen[0].form["token"] == SECRETS["form"]["token"]
    assert host.seen[0].path == f"/up?key={QUERY}"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"headers": {"Authorization": f"Bearer {KEY}"}}, "headers under [storage.http]"),
        ({"headers": {"X-Api-Key": KEY}}, "headers under [storage.http]"),
        ({"headers": {"Authorization": "Bearer {api_key}"}, "api_key": KEY}, "api_key under [storage.http]"),
        ({"method": "POST", "form": {"password": KEY, "name": "{name}"}}, "form under [storage.http]"),
        ({"url": f"http://files.example/up/{{name}}?token={KEY}"}, "query of url under [storage.http]"),
        ({"headers": {"Content-Disposition": "inline"}}, None),
        ({"method": "POST", "form": {"name": "{name}"}}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("host", ["files.example", "192.168.1.9", "localhost", "127.0.0.1", "[::1]"])
def test_secrets_are_not_sent_over_a_network_in_clear_text(
    values: dict[str, Any], named: str | None, host: str
) -> None:
    made = {"url": "http://files.example/up/{name}", "public_url": "https://files.example/{name}", **values}
    made["url"] = made["url"].replace("files.example", host)
    if named is None or host in ("localhost", "127.0.0.1", "[::1]"):
        HttpStorage(made)
        HttpStorage({**made, "url": made["url"].replace("http://", "https://")})
        return
    with pytest.raises(StorageError) as caught:
        HttpStorage(made)
    assert named in str(caught.value)
    assert "url under [storage.http]" in str(caught.value)
    assert KEY not in str(caught.value)
    HttpStorage({**made, "url": made["url"].replace("http://", "https://")})
