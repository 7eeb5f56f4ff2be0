"""From images, audio and clips to decoded frames, all the way through ComfyUI."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from tests.comfyui.graphs import (
    SECONDS,
    SMALL,
    decode,
    keep,
    kept,
    overlapped,
    pair,
    upload_audio,
    upload_image,
    upload_video,
)
from tests.conftest import Measured
from tests.host.comfy import ComfyUI, Graph
from tests.media_files import Clip, melody, photo, photo_clip, png, wav, write
from tests.media_reading import exact_rgb, psnr, reference, same_frames, scaled
from tests.service import FPS, KEY, Service

FRAMES = SECONDS * FPS


def test_first_frame_becomes_a_video(comfy: ComfyUI, service: Service) -> None:
    service.faults({"at": "task", "kind": "slow", "seconds": 2})  # long enough for progress to show
    source = photo(750, 1000, seed=1)
    graph = Graph()
    image = upload_image(graph, comfy.upload("portrait.png", png(source)))
    made = pair(graph, prompt="a calm lake", image_url=(image, 0), seed=11, **SMALL)
    decoded = decode(graph, (made.wait, 0))
    saved = graph.add("SaveVideo", video=(made.wait, 0), filename_prefix="saved", format="auto", codec="auto")
    info = keep(graph, (made.wait, 2))
    parts = graph.add("GetVideoComponents", video=(made.wait, 0))
    core_last = keep(graph, (graph.add("ImageFromBatch", image=(parts, 0), batch_index=FRAMES - 1, length=1), 0))
    core_audio, core_fps = keep(graph, (parts, 1)), keep(graph, (parts, 2))

    run = comfy.run(graph)

    (first,) = kept(run, decoded.first)
    assert first.shape == (1, 1104, 816, 3)
    assert psnr(first[0], scaled(source, first[0])) >= 30
    assert kept(run, decoded.count) == [FRAMES]
    assert kept(run, decoded.fps) == [FPS]
    (audio,) = kept(run, decoded.audio)
    assert abs(audio["waveform"].shape[-1] / audio["sample_rate"] - SECONDS) < 0.1

    (video,) = run.files(made.wait)
    assert video.parent == comfy.output / "wan27"
    assert _packets(run.files(saved)[0]) == _packets(video), "SaveVideo did not encode the video again"
    assert json.loads(kept(run, info)[0])["seed"] == 11

    # Core nodes get the same as Decode Video outputs. Core's own reader would keep the encoder's padding in the audio.
    assert np.array_equal(kept(run, core_last)[0], kept(run, decoded.last)[0])
    assert same_frames(kept(run, core_last)[0][0], _last(video))
    assert kept(run, core_audio)[0]["waveform"].shape == audio["waveform"].shape
    assert audio["waveform"].shape[-1] < _decoded_samples(video)
    assert np.array_equal(kept(run, core_audio)[0]["waveform"], audio["waveform"])
    assert kept(run, core_fps) == [FPS]

    (post,) = service.posts()
    assert post["accepted"]
    assert {name: post["body"][name] for name in ("prompt", "resolution", "duration", "seed")} == {
        "prompt": "a calm lake",
        "resolution": "720P",
        "duration": 2,
        "seed": 11,
    }
    unset = {"negative_prompt", "last_frame_url", "first_clip_url", "driving_audio_url"}
    assert not unset & set(post["body"]), "fields that are not set are left out"
    assert run.texts_of(made.wait), "the Wait node says how far the task is"
    bar = [value / maximum for node, value, maximum in run.progress if node == made.wait]
    assert bar == sorted(bar), "the bar never goes back"
    assert len(set(bar)) > 2, "it moves"
    assert bar[-1] == 1
    assert KEY not in comfy.log
    assert KEY not in json.dumps(run.history)


def _packets(path: Path) -> list[tuple[int, bytes]]:
    with av.open(str(path)) as container:
        return sorted((packet.stream_index, bytes(packet)) for packet in container.demux() if packet.size)


def _last(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        *_, frame = container.decode(video=0)
        return exact_rgb(frame)


def _decoded_samples(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(frame.samples for frame in container.decode(audio=0))


def test_first_and_last_frame_with_audio(comfy: ComfyUI, service: Service) -> None:
    start, end = photo(960, 640, seed=2), photo(960, 640, seed=3)
    tune = melody(2.5)
    graph = Graph()
    first = upload_image(graph, comfy.upload("start.png", png(start)))
    last = upload_image(graph, comfy.upload("end.png", png(end)))
    audio = upload_audio(graph, comfy.upload("tune.wav", wav(tune)))
    made = pair(graph, image_url=(first, 0), last_frame_url=(last, 0), driving_audio_url=(audio, 0), seed=12, **SMALL)
    decoded = decode(graph, (made.wait, 0))

    run = comfy.run(graph)

    (first_frame,), (last_frame,) = kept(run, decoded.first), kept(run, decoded.last)
    assert psnr(first_frame[0], scaled(start, first_frame[0])) >= 30
    assert psnr(last_frame[0], scaled(end, last_frame[0])) >= 30
    assert kept(run, decoded.count) == [FRAMES]
    (given,) = kept(run, decoded.audio)
    assert given["sample_rate"] == 48_000
    assert _same_audio(given["waveform"][0], tune, 48_000 * SECONDS)
    (post,) = service.posts()
    assert set(post["body"]) >= {"image_url", "last_frame_url", "driving_audio_url"}


def _same_audio(one: np.ndarray, other: np.ndarray, samples: int) -> bool:
    """Return whether two waveforms are the same except for what a lossy codec does to them."""
    a, b = (waveform[:, 4800 : samples - 4800].mean(axis=0) for waveform in (one, other))
    return float(np.corrcoef(a, b)[0, 1]) > 0.95


def test_first_clip_is_continued(comfy: ComfyUI, service: Service, tmp_path: Path) -> None:
    source = photo_clip(tmp_path / "clip.mp4", width=640, height=480, seconds=2, fps=FPS)
    graph = Graph()
    uploaded = upload_video(graph, comfy.upload("clip.mp4", source.read_bytes()))
    made = pair(graph, first_clip_url=(uploaded, 0), resolution="720P", duration=3, seed=13)
    decoded = decode(graph, (made.wait, 0))
    length = keep(graph, (uploaded, 1))

    run = comfy.run(graph)

    (first,) = kept(run, decoded.first)
    with av.open(str(source)) as container:
        start = next(container.decode(video=0)).to_image()
    assert psnr(first[0], scaled(start, first[0])) >= 30
    assert kept(run, decoded.count) == [3 * FPS], "duration is the total, the clip included"
    assert abs(kept(run, length)[0] - 2) < 0.1
    (post,) = service.posts()
    assert "first_clip_url" in post["body"]
    assert "image_url" not in post["body"]


def test_batch_of_three_images_gives_three_videos(comfy: ComfyUI, service: Service) -> None:
    service.faults({"at": "task", "kind": "slow", "seconds": 2, "count": None})
    sources = [photo(640, 480, seed=seed) for seed in (4, 5, 6)]
    graph = Graph()
    loaded = [
        graph.add("LoadImage", image=comfy.upload(f"batch-{n}.png", png(source))) for n, source in enumerate(sources)
    ]
    two = graph.add("ImageBatch", image1=(loaded[0], 0), image2=(loaded[1], 0))
    three = graph.add("ImageBatch", image1=(two, 0), image2=(loaded[2], 0))
    uploaded = upload_image(graph, (three, 0))
    made = pair(graph, image_url=(uploaded, 0), seed=14, **SMALL)
    decoded = decode(graph, (made.wait, 0))
    ids = keep(graph, (made.wait, 1))

    run = comfy.run(graph)

    frames = [frame[0] for frame in kept(run, decoded.first)]
    assert len(frames) == len(sources)
    for frame, source in zip(frames, sources, strict=True):
        assert psnr(frame, scaled(source, frame)) >= 30
    assert kept(run, decoded.count) == [FRAMES] * 3
    task_ids = kept(run, ids)
    assert sorted(task_ids) == sorted(post["task_id"] for post in service.posts())
    assert overlapped(service, task_ids)


def test_pairs_run_at_the_same_time(comfy: ComfyUI, service: Service, measured: Measured) -> None:
    name = comfy.upload("pairs.png", png(photo(480, 480, seed=8)))

    def pairs(count: int, seed: int) -> tuple[float, list[str]]:
        service.reset()
        service.faults({"at": "task", "kind": "slow", "seconds": 5, "count": None})
        graph = Graph()
        image = upload_image(graph, name)
        for number in range(count):
            pair(graph, image_url=(image, 0), prompt=f"number {number}", seed=seed + number, **SMALL)
        run = comfy.run(graph)
        assert run.outputs
        return run.seconds, [post["task_id"] for post in service.posts()]

    one, _ = pairs(1, 100)
    four, task_ids = pairs(4, 200)

    measured(f"one pair {one:.1f} s, four pairs in one graph {four:.1f} s: ratio {four / one:.2f}")
    assert len(task_ids) == 4
    assert overlapped(service, task_ids)


class VideoFromFile:
    """Core's class as newer cores have it; the result of their Video Slice is exactly of this class."""

    def __init__(self, file: Any, *, start_time: float = 0, duration: float = 0, crop: Any = None) -> None:
        self.__file, self.__crop = file, crop
        self.__start_time, self.__duration = start_time, duration

    def get_stream_source(self) -> Any:
        return self.__file

    def as_trimmed(self, start_time: float = 0, duration: float = 0, strict_duration: bool = False) -> Any:
        if strict_duration and duration > 2:
            return None
        return VideoFromFile(
            self.__file, start_time=self.__start_time + start_time, duration=duration, crop=self.__crop
        )

    def as_cropped(self, *crop: int) -> Any:
        return VideoFromFile(self.__file, start_time=self.__start_time, duration=self.__duration, crop=crop)

    def get_components(self) -> Any:
        return self.get_components_internal(None)

    def get_components_internal(self, _container: Any) -> Any:
        return "core's"


@pytest.fixture
def newer_core(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """nodes/comfy/file_video.py, imported on top of such a core."""
    core = ModuleType("comfy_api.latest")
    core.InputImpl = SimpleNamespace(VideoFromFile=VideoFromFile)  # type: ignore[attr-defined]
    core.Types = SimpleNamespace(VideoComponents=SimpleNamespace)  # type: ignore[attr-defined]
    management = ModuleType("comfy.model_management")
    management.processing_interrupted = lambda: False  # type: ignore[attr-defined]
    comfy = ModuleType("comfy")
    comfy.model_management = management  # type: ignore[attr-defined]
    for module in (ModuleType("comfy_api"), core, comfy, management):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    yield importlib.import_module("nodes.comfy.file_video")
    del sys.modules["nodes.comfy.file_video"]


@pytest.mark.parametrize("in_memory", [False, True])
def test_slice_of_a_newer_core_has_the_decoder_too(newer_core: ModuleType, tmp_path: Path, in_memory: bool) -> None:
    path = write(tmp_path / "clip.mp4", Clip())
    video = newer_core.Wan27Video(BytesIO(path.read_bytes()) if in_memory else str(path))

    part = video.as_trimmed(0.5, 1.0, strict_duration=False)
    again = part.as_trimmed(start_time=0.3, duration=0.4)

    assert [type(made).__name__ for made in (part, again)] == ["Wan27Video"] * 2
    frames = reference(path)
    assert same_frames(video.get_components().images, frames)
    assert same_frames(part.get_components().images, frames[5:15])
    assert part.get_components().audio["waveform"].shape == (1, 2, 48_000)
    assert same_frames(again.get_components_internal(None).images, frames[8:12])


def test_other_videos_of_a_newer_core_stay_as_they_are(newer_core: ModuleType) -> None:
    video = newer_core.Wan27Video("clip.mp4")

    assert video.as_trimmed(0, 3, strict_duration=True) is None
    cropped = newer_core.Wan27Video("clip.mp4", crop=(0, 0, 8, 8))
    assert type(cropped.as_trimmed(1, 1)) is VideoFromFile
    assert cropped.get_components() == "core's"
    assert video.as_cropped(0, 0, 8, 8).get_components() == "core's"
