"""The three upload nodes in a real ComfyUI: they store what the service accepts, and ComfyUI stays responsive."""

from __future__ import annotations

import io
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from nodes.sandbox.inspect import inspect_media
from tests.comfyui.graphs import keep, kept, upload_audio, upload_image, upload_video
from tests.conftest import Measured
from tests.host.comfy import ComfyUI, Graph, RejectedError, Run
from tests.media_files import melody, photo, photo_clip, png, wav, write_clip


def stored(url: str) -> bytes:
    return httpx.get(url, trust_env=False, timeout=30).raise_for_status().content


def run(comfy: ComfyUI, graph: Graph) -> Run:
    done = comfy.run(graph)
    assert done.error is None, done.error
    return done


def test_upload_image_gives_a_url_for_each_different_image(comfy: ComfyUI) -> None:
    graph = Graph()
    names = [comfy.upload(f"batch{seed}.png", png(photo(400, 300, seed=seed))) for seed in (1, 2, 1)]
    loaded = [graph.add("LoadImage", image=name) for name in names]
    two = graph.add("ImageBatch", image1=(loaded[0], 0), image2=(loaded[1], 0))
    three = graph.add("ImageBatch", image1=(two, 0), image2=(loaded[2], 0))
    urls = keep(graph, (upload_image(graph, (three, 0)), 0))

    first, second, third = kept(run(comfy, graph), urls)

    assert first == third != second
    for url, seed in ((first, 1), (second, 2)):
        data = stored(url)
        facts = inspect_media(data, "image_url")
        assert (facts.format, facts.width, facts.height) == ("png", 400, 300)
        with Image.open(io.BytesIO(data)) as opened:
            assert np.array_equal(np.asarray(opened), np.asarray(photo(400, 300, seed=seed)))
            assert set(opened.info) <= {"srgb"}


def test_upload_image_shows_what_was_changed(comfy: ComfyUI) -> None:
    graph = Graph()
    name = comfy.upload("small.png", png(photo(200, 300, seed=31)))
    node = upload_image(graph, name)
    urls = keep(graph, (node, 0))

    done = run(comfy, graph)

    assert any("200×300 to 240×360" in text for text in done.texts_of(node))
    assert inspect_media(stored(kept(done, urls)[0]), "image_url").height == 360


def test_upload_audio_stores_a_wav(comfy: ComfyUI) -> None:
    graph = Graph()
    node = upload_audio(graph, comfy.upload("long.wav", wav(melody(31.0))))
    urls = keep(graph, (node, 0))

    done = run(comfy, graph)

    facts = inspect_media(stored(kept(done, urls)[0]), "driving_audio_url")
    assert (facts.format, facts.seconds) == ("wav", 30)
    assert any("30 s" in text for text in done.texts_of(node))


def test_upload_video_stores_a_clip_inside_the_limits_byte_for_byte(comfy: ComfyUI, tmp_path: Path) -> None:
    data = photo_clip(tmp_path / "clip.mp4", width=320, height=240, seconds=3).read_bytes()
    graph = Graph()
    node = upload_video(graph, comfy.upload("clip.mp4", data), on_limit="error")
    url, duration = keep(graph, (node, 0)), keep(graph, (node, 1))

    done = run(comfy, graph)

    assert stored(kept(done, url)[0]) == data
    assert kept(done, duration) == [3.0]


def test_upload_video_strips_the_graph_that_save_video_writes(comfy: ComfyUI) -> None:
    made = Graph()
    images = made.add("EmptyImage", width=320, height=240, batch_size=60, color=0x4080C0)
    video = made.add("CreateVideo", images=(images, 0), fps=30.0)
    saved = made.add("SaveVideo", video=(video, 0), filename_prefix="tags", format="auto", codec="auto")
    data = run(comfy, made).files(saved)[0].read_bytes()
    assert b"EmptyImage" in data
    graph = Graph()
    node = upload_video(graph, comfy.upload("saved.mp4", data), on_limit="error")
    url = keep(graph, (node, 0))

    done = run(comfy, graph)

    sent = stored(kept(done, url)[0])
    assert b"EmptyImage" not in sent and b"prompt" not in sent
    assert len(sent) == len(data)
    assert any("without its tags (prompt)" in text for text in done.texts_of(node))


def test_upload_video_cuts_a_long_clip_to_its_end(comfy: ComfyUI, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "long.mkv", frames=120, fps=10, audio=12.0)
    graph = Graph()
    node = upload_video(graph, comfy.upload("long.mkv", path.read_bytes()))
    url, duration = keep(graph, (node, 0)), keep(graph, (node, 1))

    done = run(comfy, graph)

    facts = inspect_media(stored(kept(done, url)[0]), "first_clip_url")
    assert (kept(done, duration), facts.seconds, facts.frames) == ([10.0], 10.0, 100)
    assert any("last 10 s" in text for text in done.texts_of(node))


def test_upload_video_takes_frames_that_a_graph_made_into_a_video(comfy: ComfyUI) -> None:
    graph = Graph()
    images = graph.add("EmptyImage", width=321, height=241, batch_size=48, color=0x808080)
    video = graph.add("CreateVideo", images=(images, 0), fps=24.0)
    node = graph.add("Wan27UploadVideo", video=(video, 0), on_limit="fit")
    url, duration = keep(graph, (node, 0)), keep(graph, (node, 1))

    done = run(comfy, graph)

    facts = inspect_media(stored(kept(done, url)[0]), "first_clip_url")
    assert (facts.width, facts.height, facts.seconds) == (320, 240, 2.0)
    assert kept(done, duration) == [2.0]


@pytest.mark.parametrize(
    ("name", "inputs", "words"),
    [
        ("Wan27UploadImage", {"on_limit": "crop", "format": "auto"}, ["on_limit", "crop", "fit", "error"]),
        ("Wan27UploadImage", {"on_limit": "fit", "format": "gif"}, ["format", "gif", "png", "jpeg", "webp"]),
    ],
)
def test_upload_refuses_unknown_combo_values_when_queued(
    name: str, inputs: dict[str, Any], words: list[str], comfy: ComfyUI
) -> None:
    graph = Graph()
    image = graph.add("EmptyImage", width=320, height=240, batch_size=1, color=0)
    node = graph.add(name, image=(image, 0), **inputs)
    keep(graph, (node, 0))

    with pytest.raises(RejectedError) as refusal:
        comfy.queue(graph)

    text = refusal.value.texts(node)
    assert all(word in text for word in words), text


def test_server_answers_while_a_batch_of_4k_images_is_encoded(comfy: ComfyUI, measured: Measured) -> None:
    noise = np.random.default_rng(3).integers(0, 48, (2160, 3840, 3), np.uint8)
    ramp = np.linspace(0, 200, 3840).astype(np.uint8)[None, :, None]
    graph = Graph()
    image = graph.add("LoadImage", image=comfy.upload("4k.png", png(Image.fromarray(noise + ramp))))
    batch = graph.add("RepeatImageBatch", image=(image, 0), amount=8)
    urls = keep(graph, (upload_image(graph, (batch, 0)), 0))
    idle = statistics.median(_seconds_to_answer(comfy) for _ in range(20))

    with ThreadPoolExecutor(1) as pool:
        queued = pool.submit(run, comfy, graph)
        busy = [_seconds_to_answer(comfy)]
        while not queued.done():
            busy.append(_seconds_to_answer(comfy))
        done = queued.result()

    assert len(kept(done, urls)) == 8
    measured(
        f"/system_stats: {idle * 1000:.1f} ms idle; slowest of {len(busy)} while 8 images of 4K are uploaded: "
        f"{max(busy) / idle:.1f} times that"
    )


def _seconds_to_answer(comfy: ComfyUI) -> float:
    start = time.perf_counter()
    comfy.get_json("/system_stats")
    return time.perf_counter() - start
