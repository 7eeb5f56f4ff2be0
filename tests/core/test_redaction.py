"""Secrets stay out of text and out of httpx's log."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Iterator
from pathlib import PureWindowsPath

import pytest

from nodes.core.redaction import URL_LOGGERS, Redactor, redact_locations, suppress_url_logs

BASIC = base64.b64encode(b"someone:pass-word").decode()


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("Bearer abcdef123", "you sent abcdef123"),
        ("Bearer abcdef123", "you sent Bearer abcdef123!"),
        ("a/b c+d", "at a%2Fb%20c%2Bd"),
        ("a/b c+d", "at a%2fb%20c%2bd"),
        ("a/b c+d", "at a/b%20c%2Bd"),
        ("abcdef123", f"key {base64.b64encode(b'abcdef123').decode()}"),
        (f"Basic {BASIC}", "wrong password pass-word for someone"),
    ],
)
def test_redactor_removes_a_secret_in_every_encoding(secret: str, text: str) -> None:
    redactor = Redactor([secret, ""])
    for shown in (redactor.redact(text), redactor.excerpt(text), str(redactor.redact_json({text: [text]}))):
        for part in ("abcdef123", "a/b", "a%2F", "a%2f", "pass-word", BASIC, "YWJjZGVm"):
            assert part not in shown
        assert "•••" in shown


def test_redactor_excerpt_is_short_and_printable() -> None:
    shown = Redactor([]).excerpt("line one\r\n\x1b[31mline two\0" + "x" * 500)
    assert shown.startswith("line one [31mline two") and len(shown) == 200 and shown.isprintable()


def test_redactor_removes_login_and_query_of_links_but_not_from_json() -> None:
    text = "get https://me:pw@a.example/x.png?sig=1#top now, or https://b.example/y#a"
    assert Redactor([]).redact(text) == "get https://a.example/x.png now, or https://b.example/y"
    assert Redactor([]).redact_json({"url": "https://a.example/x?sig=1"}) == {"url": "https://a.example/x?sig=1"}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("plain words", "plain words"),
        ("get https://a.example:8443/x/y?sig=1 now", "get https://a.example/… now"),
        ("https://user:secret@a.example/x", "https://a.example/…"),
        ("data:image/png;base64,AAAA end", "data:… end"),
        ("/home/me/ComfyUI/output/a.mp4 cannot be read", "…/a.mp4 cannot be read"),
        (r"C:\Users\me\ComfyUI\config.toml is wrong", "…/config.toml is wrong"),
        ("16:9 and 3/4 stay", "16:9 and 3/4 stay"),
    ],
)
def test_redact_locations_keeps_hosts_and_file_names(said: str, told: str) -> None:
    assert redact_locations(said) == told


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    for name in URL_LOGGERS:
        caplog.set_level(logging.DEBUG, logger=name)
    yield caplog


@pytest.mark.parametrize("logger", URL_LOGGERS)
def test_suppress_url_logs_covers_tasks_made_inside_and_no_others(
    logger: str, everything: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger(logger)

    async def say(what: str) -> None:
        await asyncio.sleep(0)
        log.debug(what)

    async def work() -> None:
        theirs = asyncio.ensure_future(say("theirs"))
        with suppress_url_logs():
            ours = asyncio.ensure_future(say("ours"))
            await say("ours too")
        await asyncio.gather(ours, theirs, say("later"))

    asyncio.run(work())
    assert everything.messages == ["theirs", "later"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (r"[Errno 13] Permission denied: 'C:\\Users\\John Doe\\ComfyUI\\user\\config.toml'", "'…/config.toml'"),
        (r"C:\Users\John Doe\ComfyUI\config.toml is not UTF-8", "…/config.toml is not UTF-8"),
        (r"see C:/Users/John Doe/ComfyUI/My Files/clip.mp4", "clip.mp4"),
        (r"\\server\Users\John Doe\x\config.toml", "…/config.toml"),
        (r"\\nas\John Doe\comfy\a.mp4 is gone", "…/a.mp4 is gone"),
        (r"\\nas\films\of John Doe\a.mp4", "…/a.mp4"),
        (r"D:\John D. Doe\a.mp4 is gone, use png/jpeg", "…/a.mp4 is gone, use png/jpeg"),
        (r"\\?\D:\Films of John Doe\my clips\a.mp4 is gone", "…/a.mp4 is gone"),
        (r"moved D:\John Doe\a b.mp4: no space", "moved …/a b.mp4: no space"),
        (str(OSError(13, "denied", r"D:\John O'Doe\My Comfy\x.mp4")), '"…/x.mp4"'),
        (str(OSError(13, "denied", "/mnt/John O'Doe/My Comfy/x.mp4")), '"…/x.mp4"'),
        (r"'D:\John Doe\it is \"x\".mp4' and '/mnt/John Doe/y.mp4'", "and '…/y.mp4'"),
        (r"D:\Documents and Settings\John Doe\config.toml", "…/config.toml"),
        ("/Users/John Doe/ComfyUI/config.toml is wrong", "…/config.toml is wrong"),
        ("'/home/John Doe/a b/clip.mp4' cannot be read", "'…/clip.mp4' cannot be read"),
    ],
)
def test_redact_locations_never_shows_the_name_of_a_user(said: str, told: str) -> None:
    shown = redact_locations(said)
    assert told in shown
    assert "John" not in shown and "Doe" not in shown


def test_redact_locations_removes_a_known_folder_as_an_error_repeats_it() -> None:
    folder = PureWindowsPath(r"C:\Comfy UI\John Doe's\user")
    for text in (f"{folder}\\config.toml is wrong", str(OSError(13, "denied", str(folder / "config.toml")))):
        assert "John" not in redact_locations(text, folders=[folder])  # type: ignore[list-item]
