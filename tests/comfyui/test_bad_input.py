"""Bad inputs are refused on their node, with the value and the limit, and nothing is sent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.comfyui.graphs import SMALL, keep, pair, upload_image, upload_video, wait
from tests.host.comfy import ComfyUI, Graph, RejectedError
from tests.media_files import audio_mp4_bytes
from tests.service import Service

IMAGE = "https://example.com/first.png"
CLIP = "https://example.com/clip.mp4"
AUDIO = "https://example.com/voice.wav"

REFUSED_AT_ONCE: dict[str, tuple[dict[str, Any], list[str]]] = {
    "neither first frame nor clip": ({}, ["image_url", "first_clip_url", "required"]),
    "both first frame and clip": ({"image_url": IMAGE, "first_clip_url": CLIP}, ["image_url", "first_clip_url"]),
    "audio with a clip": ({"first_clip_url": CLIP, "driving_audio_url": AUDIO}, ["driving_audio_url"]),
    "audio alone": ({"driving_audio_url": AUDIO}, ["image_url", "driving_audio_url"]),
    "last frame alone": ({"last_frame_url": IMAGE}, ["image_url", "last_frame_url"]),
    "no URL": ({"image_url": "holiday photo.png"}, ["image_url", "holiday photo.png"]),
    "a URL of another kind": ({"image_url": "file:///etc/passwd"}, ["image_url", "file:///etc/passwd", "http"]),
    "prompt too long": ({"image_url": IMAGE, "prompt": "x" * 5001}, ["prompt", "5001", "5000"]),
    "negative prompt too long": ({"image_url": IMAGE, "negative_prompt": "x" * 501}, ["negative_prompt", "501", "500"]),
    "unknown resolution": ({"image_url": IMAGE, "resolution": "4K"}, ["resolution", "4K", "720P", "1080P"]),
    "duration too long": ({"image_url": IMAGE, "duration": 16}, ["duration", "15"]),
    "seed too large": ({"image_url": IMAGE, "seed": 2**31}, ["seed", "2147483647"]),
}


@pytest.mark.parametrize("case", REFUSED_AT_ONCE)
def test_image_to_video_refuses_bad_inputs_when_queued(case: str, comfy: ComfyUI, service: Service) -> None:
    inputs, words = REFUSED_AT_ONCE[case]
    graph = Graph()
    made = pair(graph, **inputs)

    with pytest.raises(RejectedError) as refusal:
        comfy.queue(graph)

    text = refusal.value.texts(made.submit)
    assert all(word in text for word in words), text
    assert service.posts() == []


@pytest.mark.parametrize("task_id", ["two words", "../../etc/passwd", "a/b", "x" * 300, ""])
def test_wait_refuses_an_invalid_task_id_when_queued(task_id: str, comfy: ComfyUI, service: Service) -> None:
    graph = Graph()
    node = wait(graph, task_id)

    with pytest.raises(RejectedError) as refusal:
        comfy.queue(graph)

    text = refusal.value.texts(node)
    assert "task_id" in text
    assert task_id[:20] in text
    assert service.posts() == []


def test_wait_names_a_task_that_the_service_does_not_know(comfy: ComfyUI, service: Service) -> None:
    graph = Graph()
    node = wait(graph, "00000000-0000-4000-8000-000000000000")

    run = comfy.run(graph)

    assert run.error
    assert run.error.node == node
    assert "00000000-0000-4000-8000-000000000000" in run.error.message
    assert service.posts() == []


ODD_IMAGES: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "an empty batch": ({"kind": "empty", "width": 320, "height": 320}, "fit", ["empty batch"]),
    "NaN": ({"kind": "nan", "width": 320, "height": 320}, "fit", ["NaN"]),
    "too narrow for any fit": ({"kind": "plain", "width": 300, "height": 2700}, "fit", ["300", "2700", "8"]),
    "too small": ({"kind": "plain", "width": 200, "height": 320}, "error", ["200", "240"]),
}


@pytest.mark.parametrize("case", ODD_IMAGES)
def test_upload_image_refuses_what_cannot_be_sent(case: str, comfy: ComfyUI, service: Service) -> None:
    odd, on_limit, words = ODD_IMAGES[case]
    graph = Graph()
    image = graph.add("TestOddImage", grey=0.5, **odd)
    upload = upload_image(graph, (image, 0), on_limit=on_limit)
    pair(graph, image_url=(upload, 0), **SMALL)

    run = comfy.run(graph)

    assert run.error
    assert run.error.node == upload
    assert all(word in run.error.message for word in words), run.error.message
    assert service.posts() == []


def test_upload_video_refuses_a_file_without_video(comfy: ComfyUI, service: Service) -> None:
    name = comfy.upload("audio-only.mp4", audio_mp4_bytes(3))
    graph = Graph()
    upload = upload_video(graph, name)
    pair(graph, first_clip_url=(upload, 0), resolution="720P", duration=5)

    run = comfy.run(graph)

    assert run.error
    assert run.error.node == upload
    assert "no video" in run.error.message
    assert service.posts() == []


def test_decode_refuses_a_file_without_video(comfy: ComfyUI) -> None:
    name = comfy.upload("audio-only.mp4", audio_mp4_bytes(3))
    graph = Graph()
    video = graph.add("LoadVideo", file=name)
    node = graph.add(
        "Wan27DecodeVideo", video=(video, 0), start_time=0.0, duration=0.0, every_nth=1, max_frames=0, max_side=0
    )
    keep(graph, (node, 0))

    run = comfy.run(graph)

    assert run.error
    assert run.error.node == node
    assert "no video" in run.error.message
