"""The rules of a request, each at its limit."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.api.request import VideoRequest
from nodes.core.errors import RequestError

URL = "https://host.example/a.png"
EMOJI_FAMILY = "\U0001f468‍\U0001f469‍\U0001f467"  # one symbol on the screen, five characters
E_ACUTE = "e\u0301"  # one letter on the screen, two characters


def problems_of(clip_seconds: float | None = None, **fields: Any) -> str:
    try:
        VideoRequest(**fields).check(clip_seconds=clip_seconds)
    except RequestError as error:
        return str(error)
    return ""


LEGAL = [
    {"image_url"},
    {"image_url", "driving_audio_url"},
    {"image_url", "last_frame_url"},
    {"image_url", "last_frame_url", "driving_audio_url"},
    {"first_clip_url"},
    {"first_clip_url", "last_frame_url"},
]


@pytest.mark.parametrize("bits", range(16))
def test_media_combinations_allowed_and_refused(bits: int) -> None:
    names = ("image_url", "last_frame_url", "first_clip_url", "driving_audio_url")
    chosen = {name for index, name in enumerate(names) if bits >> index & 1}
    problems = problems_of(**dict.fromkeys(chosen, URL))
    assert (problems == "") == (chosen in LEGAL), problems


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a" * 5000, 5000),
        ("字" * 5000, 5000),
        ("\U0001f600" * 5000, 5000),
        (EMOJI_FAMILY * 1000, 5000),
        (E_ACUTE * 2500, 5000),
    ],
)
def test_prompt_is_counted_in_characters(text: str, count: int) -> None:
    assert problems_of(image_url=URL, prompt=text) == ""
    assert f"{count + 1} characters; the limit is 5000" in problems_of(image_url=URL, prompt=text + "x")


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_text_with_half_a_surrogate_pair_is_refused(field: str) -> None:
    assert f"Character 5 of {field} is '\\ud83d'" in problems_of(image_url=URL, **{field: "two \ud83d"})


@pytest.mark.parametrize("unit", ["n", "不", "\U0001f600"])
def test_negative_prompt_is_counted_in_characters(unit: str) -> None:
    assert problems_of(image_url=URL, negative_prompt=unit * 500) == ""
    problem = problems_of(image_url=URL, negative_prompt=unit * 501)
    assert "501 characters; the limit is 500" in problem
    assert "by 1 character" in problem


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("duration", [2, 5, 15], [1, 16, 0, -1, 5.0, "5", True, None]),
        ("seed", [0, 2147483647, None], [-1, 2147483648, 1.5, "1", True]),
        ("resolution", ["720P", "1080P"], ["720p", "480P", "", None]),
    ],
)
def test_values_at_their_limits(field: str, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if problems_of(image_url=URL, **{field: value})] == []
    for value in bad:
        assert f"{field} is {value!r}" in problems_of(image_url=URL, **{field: value})


@pytest.mark.parametrize(
    "url",
    [
        "https://host.example/a.png",
        "http://host.example:8080/a b".replace(" ", "%20"),
        "https://host.example/Ü.png?x=1&y=2#z",
        "data:image/png;base64,iVBORw0KGgo=",
    ],
)
def test_urls_that_can_be_fetched_are_accepted(url: str) -> None:
    assert problems_of(image_url=url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "image.png",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://host.example/a.png",
        "https://",
        "https://host.example/a b.png",
        "https://host.example/a\nb",
        "http://[::1",
        "https://host.example:port/",
        "javascript:alert(1)",
        "data:text/html;base64,PGI+",
        "data:image/png,plain",
    ],
)
def test_urls_that_cannot_be_fetched_are_refused(url: str) -> None:
    assert "image_url" in problems_of(image_url=url)


def test_data_uri_is_for_images_only() -> None:
    assert "only images" in problems_of(first_clip_url="data:image/png;base64,iVBORw0KGgo=")


@pytest.mark.parametrize(
    ("duration", "clip", "legal"), [(5, 4.99, True), (5, 5.0, False), (5, 5.01, False), (5, None, True)]
)
def test_duration_must_be_longer_than_the_clip(duration: int, clip: float | None, legal: bool) -> None:
    problem = problems_of(clip_seconds=clip, first_clip_url=URL, duration=duration)
    assert (problem == "") == legal
    if not legal:
        assert f"duration is {duration} s and the clip is {clip:.2f} s" in problem


def test_check_names_all_problems_at_once() -> None:
    problem = problems_of(prompt="x" * 5001, duration=99, driving_audio_url="nonsense")
    assert len(problem.splitlines()) == 4
