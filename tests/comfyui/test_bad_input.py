"""Bad inputs are refused on their node, with the value and the limit, and nothing is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.comfyui.graphs import SMALL, decode, keep, kept, pair, upload_image, upload_video, wait
from tests.host.comfy import ComfyUI, Graph, RejectedError
from tests.media_files import audio_mp4_bytes, write_clip
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


ODD_INPUTS: dict[str, dict[str, Any]] = {
    "Wan27UploadImage": {"image": None, "on_limit": "fit", "format": "auto"},
    "Wan27UploadVideo": {"video": None, "on_limit": "fit"},
    "Wan27DecodeVideo": {"video": None, "start_time": 0, "duration": 0, "every_nth": 1, "max_frames": 0, "max_side": 0},
}


@pytest.mark.parametrize("node_id", ODD_INPUTS)
def test_nodes_say_that_none_arrived(node_id: str, comfy: ComfyUI, service: Service) -> None:
    graph = Graph()
    odd = graph.add("TestOddValue", kind="none", file="")
    inputs = {name: (odd, 0) if value is None else value for name, value in ODD_INPUTS[node_id].items()}
    node = graph.add(node_id, **inputs)
    keep(graph, (node, 0))

    run = comfy.run(graph)

    assert run.error
    assert run.error.node == node
    assert "is None: the node linked to it delivered no" in run.error.message
    assert service.posts() == []


def test_wait_says_that_none_arrived(comfy: ComfyUI, service: Service) -> None:
    graph = Graph()
    node = wait(graph, (graph.add("TestOddValue", kind="none", file=""), 0))

    run = comfy.run(graph)

    assert run.error
    assert run.error.node == node
    assert "task_id" in run.error.message or "task id" in run.error.message
    assert service.posts() == []


def test_nodes_read_a_video_that_can_only_save_itself(comfy: ComfyUI, service: Service, tmp_path: Path) -> None:
    name = comfy.upload("other-pack.mp4", write_clip(tmp_path / "clip.mp4", frames=60).read_bytes())
    graph = Graph()
    video = graph.add("TestOddValue", kind="video", file=name)
    upload = graph.add("Wan27UploadVideo", video=(video, 0), on_limit="error")
    seconds = keep(graph, (upload, 1))
    decoded = decode(graph, (video, 0))

    run = comfy.run(graph)

    assert run.error is None, run.error
    assert kept(run, seconds) == [2.0]
    assert kept(run, decoded.count) == [60]


def test_upload_audio_of_a_silent_video_leaves_the_audio_out(comfy: ComfyUI, service: Service, tmp_path: Path) -> None:
    name = comfy.upload("silent.mp4", write_clip(tmp_path / "clip.mp4", frames=60).read_bytes())
    graph = Graph()
    video = graph.add("LoadVideo", file=name)
    parts = graph.add("GetVideoComponents", video=(video, 0))
    image = upload_image(graph, (graph.add("ImageFromBatch", image=(parts, 0), batch_index=0, length=1), 0))
    audio = graph.add("Wan27UploadAudio", audio=(parts, 1), on_limit="error", format="auto")
    url = keep(graph, (audio, 0))
    pair(graph, image_url=(image, 0), driving_audio_url=(audio, 0), **SMALL)

    run = comfy.run(graph)

    assert run.error is None, run.error
    assert kept(run, url) == [""]
    assert any("url is empty" in text for text in run.texts_of(audio))
    [post] = service.posts()
    assert "image_url" in str(post["body"])
    assert "driving_audio_url" not in str(post["body"])
