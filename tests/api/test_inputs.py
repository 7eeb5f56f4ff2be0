"""From a request to the inputs of a host, and back."""

from __future__ import annotations

from nodes.api.inputs import from_inputs, to_inputs
from nodes.api.request import VideoRequest

NAMES = {"prompt": "text", "resolution": "quality", "seed": "seed", "watermark": "mark", "image_url": "first"}
REQUEST = VideoRequest(prompt="p", image_url="https://h.example/a.png", seed=0, resolution="720P", watermark=False)


def test_inputs_keep_zero_and_false_and_leave_out_what_is_not_set() -> None:
    sent = to_inputs(REQUEST, NAMES, resolution=str.lower)
    assert sent == {"text": "p", "quality": "720p", "seed": 0, "mark": False, "first": "https://h.example/a.png"}
    assert to_inputs(VideoRequest(prompt=""), {"prompt": "text", "seed": "seed"}) == {}


def test_inputs_come_back_in_our_own_names() -> None:
    sent = {**to_inputs(REQUEST, NAMES, resolution=str.lower), "added": "by the host", "last": None}
    ours = from_inputs(sent, {**NAMES, "last_frame_url": "last"})
    assert ours == {
        "prompt": "p",
        "resolution": "720P",
        "seed": 0,
        "watermark": False,
        "image_url": "https://h.example/a.png",
    }
    assert VideoRequest(**ours) == REQUEST
