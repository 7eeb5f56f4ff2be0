"""From a node's inputs to requests, and problems with literal values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nodes.comfy.node_inputs import literal_choice_problems, literal_problems, requests_from_inputs
from nodes.core import limits
from nodes.core.errors import RequestError

URL = "https://host.example/a.png"


def inputs(**changes: list[Any]) -> dict[str, list[Any]]:
    return {
        "prompt": ["p"],
        "negative_prompt": [""],
        "resolution": ["720P"],
        "duration": [5],
        "seed": [1],
        "prompt_extend": [True],
        "watermark": [False],
        "on_repeat": ["reuse"],
        "image_url": [URL],
        **changes,
    }


def test_requests_are_one_for_each_url_and_short_lists_repeat_their_last_item() -> None:
    made = requests_from_inputs(inputs(image_url=[f"{URL}?{n}" for n in range(3)], prompt=["a", "b"], seed=[7]))
    assert [(r.image_url, r.prompt, r.seed) for r, _ in made] == [
        (f"{URL}?0", "a", 7),
        (f"{URL}?1", "b", 7),
        (f"{URL}?2", "b", 7),
    ]


def test_requests_leave_out_empty_text_and_missing_sockets() -> None:
    [(request, on_repeat)] = requests_from_inputs(inputs(last_frame_url=[""], driving_audio_url=[None]))
    assert request.media() == {"image_url": URL}
    assert on_repeat == "reuse"


def test_requests_count_a_prompt_without_the_white_space_around_it() -> None:
    most = limits.PROMPT_CHARS
    [(request, _)] = requests_from_inputs(
        inputs(prompt=["p" * most + "\n"], negative_prompt=[f" {'n' * limits.NEGATIVE_PROMPT_CHARS}"])
    )
    request.check()
    assert len(request.prompt) == most
    with pytest.raises(RequestError, match=str(most)):
        requests_from_inputs(inputs(prompt=["p" * (most + 1)]))


def test_requests_treat_an_empty_url_as_not_linked_for_each_item() -> None:
    found = requests_from_inputs(inputs(image_url=[URL, URL], driving_audio_url=[URL, ""]))
    assert [request.driving_audio_url for request, _ in found] == [URL, None]


def test_requests_accept_integers_of_numpy() -> None:
    [(request, _)] = requests_from_inputs(inputs(duration=[np.int64(4)], seed=[np.int32(9)]))
    request.check()
    assert (type(request.duration), request.seed) == (int, 9)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_url": []}, "image_url is an empty list"),
        ({"resolution": ["4K"]}, "resolution is '4K'; it must be 720P or 1080P"),
        ({"on_repeat": ["always"]}, "on_repeat is 'always'; it must be reuse or submit_again"),
        ({"first_clip_url": [URL]}, "both set"),
        ({"image_url": [""]}, "neither is set"),
        ({"image_url": ["a.png"]}, "is not an http(s) URL"),
        ({"image_url": [""], "driving_audio_url": [URL]}, "only driving_audio_url is set"),
        ({"image_url": [None]}, "neither is set"),
        ({"image_url": [{"samples": 1}]}, "Paste a plain http(s) URL"),
        ({"image_url": ["https://host.example/\ud83d.png"]}, "control characters"),
        ({"image_url": ["data:image/png;base64,\ud83d"]}, "characters that base64 does not have"),
        ({"resolution": [None]}, "resolution is None"),
        ({"on_repeat": [None]}, "on_repeat is None"),
        ({"duration": [None]}, "duration is None"),
        ({"duration": [float("nan")]}, "duration is nan"),
        ({"seed": ["1"]}, "seed is '1'"),
        ({"watermark": ["no"]}, "watermark is 'no'; it must be true or false"),
        ({"prompt_extend": [np.zeros(3)]}, "prompt_extend is array([0., 0., 0.])"),
        ({"prompt": ["half an emoji: \ud83d"]}, "Character 16 of prompt is '\\ud83d'"),
    ],
)
def test_requests_refuse_values_that_are_not_allowed(changes: dict[str, list[Any]], said: str) -> None:
    with pytest.raises(RequestError) as caught:
        requests_from_inputs(inputs(**changes))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": ["one", "two \ud83d"]},
        {"negative_prompt": ["", "\udc00"]},
        {"duration": [5, 16]},
        {"seed": [1, -1]},
        {"resolution": ["720P", "4K"]},
        {"image_url": [URL, "file:///a.png"]},
        {"on_repeat": ["reuse", "often"]},
    ],
)
def test_requests_are_refused_together_if_one_of_them_cannot_be_sent(changes: dict[str, list[Any]]) -> None:
    with pytest.raises(RequestError, match=r"^Request 2 of 2: "):
        requests_from_inputs(inputs(**changes))


LINKED = None


@pytest.mark.parametrize(
    ("media", "said"),
    [
        ({"image_url": LINKED}, ""),
        ({"image_url": LINKED, "first_clip_url": LINKED}, ""),
        ({"image_url": URL, "first_clip_url": LINKED}, ""),
        ({"image_url": URL, "first_clip_url": URL}, "both set"),
        ({"last_frame_url": LINKED}, "only last_frame_url is set"),
        ({"last_frame_url": LINKED, "driving_audio_url": LINKED}, "image_url or first_clip_url is required"),
        ({"first_clip_url": URL, "driving_audio_url": URL}, "driving_audio_url cannot be used"),
        ({"first_clip_url": URL, "driving_audio_url": LINKED}, ""),
        ({"image_url": URL, "first_clip_url": URL, "last_frame_url": LINKED}, "both set"),
        ({}, "neither is set"),
    ],
)
def test_literal_problems_are_only_those_that_no_link_can_solve(media: dict[str, Any], said: str) -> None:
    names = ("image_url", "last_frame_url", "first_clip_url", "driving_audio_url")
    problems = literal_problems(
        prompt=LINKED,
        negative_prompt=LINKED,
        resolution=LINKED,
        on_repeat=LINKED,
        media={name: media.get(name, "") for name in names},
    )
    assert (said in "\n".join(problems)) if said else problems == []


@pytest.mark.parametrize(
    ("name", "value", "choices"),
    [
        ("format", "gif", limits.IMAGE_FORMATS),
        ("format", "ogg", limits.AUDIO_FORMATS),
        ("on_limit", "maybe", limits.ON_LIMIT),
    ],
)
def test_choice_problems_name_the_value_and_the_choices(name: str, value: str, choices: tuple[str, ...]) -> None:
    (problem,) = literal_choice_problems(**{name: (value, choices)})

    assert all(word in problem for word in (name, value, *choices))
    assert literal_choice_problems(**{name: (None, choices)}) == []
    (problem,) = limits.choice_problems(**{name: (None, choices)})
    assert "None" in problem, "a link that delivers nothing"
