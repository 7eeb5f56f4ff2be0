from __future__ import annotations

import json
from typing import Any

import pytest

from nodes.sandbox.rules import BodyError, parse_body

URL = "https://example.com/a.png"
FIRST = {"image_url": URL}


def check(body: Any) -> None:
    parse_body(json.dumps(body).encode())


@pytest.mark.parametrize(
    "body",
    [
        FIRST,
        {**FIRST, "driving_audio_url": URL},
        {**FIRST, "last_frame_url": URL},
        {**FIRST, "last_frame_url": URL, "driving_audio_url": URL},
        {"first_clip_url": URL},
        {"first_clip_url": URL, "last_frame_url": URL},
        {**FIRST, "prompt": "x" * 5000, "negative_prompt": "x" * 500},
        {**FIRST, "prompt": "猫" * 5000, "negative_prompt": "😀" * 500},
        {**FIRST, "prompt": "e\u0301" * 2500},
        {**FIRST, "duration": 2, "seed": 0},
        {**FIRST, "duration": 15, "seed": 2147483647},
        {**FIRST, "resolution": "720P", "prompt_extend": False, "watermark": True},
        {**FIRST, "resolution": "1080P"},
        {"image_url": "http://127.0.0.1:8188/a.png?x=1#y"},
        {"image_url": "data:image/png;base64,iVBORw0KGgo="},
        {**FIRST, "last_frame_url": "data:image/jpeg;base64,/9j/"},
    ],
)
def test_rules_accept(body: dict[str, Any]) -> None:
    check(body)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "required"),
        ({"prompt": "a cat"}, "required"),
        ({"last_frame_url": URL}, "required"),
        ({"driving_audio_url": URL}, "required"),
        ({"last_frame_url": URL, "driving_audio_url": URL}, "required"),
        ({"image_url": URL, "first_clip_url": URL}, "exclusive"),
        ({"first_clip_url": URL, "driving_audio_url": URL}, "driving_audio_url"),
        ({"first_clip_url": URL, "last_frame_url": URL, "driving_audio_url": URL}, "driving_audio_url"),
        ({**FIRST, "prompt": "x" * 5001}, "5001"),
        ({**FIRST, "prompt": "猫" * 5001}, "5001"),
        ({**FIRST, "prompt": "e\u0301" * 2501}, "5002"),
        ({**FIRST, "negative_prompt": "x" * 501}, "501"),
        ({**FIRST, "negative_prompt": "😀" * 501}, "501"),
        ({**FIRST, "prompt": 5}, "a string"),
        ({**FIRST, "prompt": ["a"]}, "a string"),
        ({**FIRST, "prompt": "\ud800"}, "surrogate"),
        ({**FIRST, "duration": 1}, "[2, 15]"),
        ({**FIRST, "duration": 16}, "[2, 15]"),
        ({**FIRST, "duration": 5.0}, "an integer"),
        ({**FIRST, "duration": "5"}, "an integer"),
        ({**FIRST, "duration": True}, "an integer"),
        ({**FIRST, "seed": -1}, "[0, 2147483647]"),
        ({**FIRST, "seed": 2147483648}, "[0, 2147483647]"),
        ({**FIRST, "seed": "1"}, "an integer"),
        ({**FIRST, "resolution": "480P"}, "720P, 1080P"),
        ({**FIRST, "resolution": "720p"}, "720P, 1080P"),
        ({**FIRST, "resolution": 720}, "a string"),
        ({**FIRST, "prompt_extend": 1}, "a boolean"),
        ({**FIRST, "watermark": "false"}, "a boolean"),
        ({**FIRST, "model": "wan"}, "unknown field"),
        ({"image_url": "a.png"}, "URL"),
        ({"image_url": "ftp://example.com/a.png"}, "URL"),
        ({"image_url": "file:///etc/passwd"}, "URL"),
        ({"image_url": "http://"}, "URL"),
        ({"image_url": "http://[::1"}, "URL"),
        ({"image_url": "http://host:port/a.png"}, "URL"),
        ({"image_url": "https://example.com/a b.png"}, "white space"),
        ({"image_url": "https://example.com/a.png\n"}, "white space"),
        ({"image_url": ["https://example.com/a.png"]}, "a string"),
        ({"image_url": "data:image/png;base64,***"}, "base64"),
        ({"image_url": "data:image/png,abc"}, "base64"),
        ({"image_url": "data:text/html;base64,YQ=="}, "base64"),
        ({"first_clip_url": "data:video/mp4;base64,YQ=="}, "images only"),
        ({**FIRST, "driving_audio_url": "data:audio/wav;base64,YQ=="}, "images only"),
        ([], "object"),
        ("text", "object"),
        (None, "object"),
    ],
)
def test_rules_refuse(body: Any, word: str) -> None:
    with pytest.raises(BodyError, match=word.replace("[", r"\[")):
        check(body)


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize(
    "field",
    [
        "prompt",
        "negative_prompt",
        "image_url",
        "last_frame_url",
        "first_clip_url",
        "driving_audio_url",
        "resolution",
        "duration",
        "seed",
        "prompt_extend",
        "watermark",
    ],
)
def test_rules_refuse_null_and_empty_fields(field: str, value: str | None) -> None:
    with pytest.raises(BodyError, match=f"{field} is .*leave an unset field out"):
        check({**FIRST, field: value})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"image_url": "https://e.com/a", "image_url": "https://e.com/b"}',
        b'{"image_url": "https://e.com/a", "duration": NaN}',
        b'{"image_url": "https://e.com/a", "duration": 1e400}',
        b"[" * 100_000,
    ],
)
def test_rules_refuse_invalid_json(raw: bytes) -> None:
    with pytest.raises(BodyError):
        parse_body(raw)
