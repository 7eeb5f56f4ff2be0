"""Wan 2.7 Join Videos in a real ComfyUI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.comfyui.graphs import SMALL, kept, pair, upload_image
from tests.demo import play
from tests.host.comfy import ComfyUI, Graph, RejectedError
from tests.media_files import Clip, photo, png, write
from tests.service import Service

JOIN: dict[str, Any] = {"seam": "keep", "crossfade_seconds": 0.0, "match_colors": "off"}


def load(comfy: ComfyUI, graph: Graph, tmp_path: Path, name: str, **clip: Any) -> tuple[str, int]:
    path = write(tmp_path / name, Clip(**clip))
    return graph.add("LoadVideo", file=comfy.upload(name, path.read_bytes())), 0


def film_of(comfy: ComfyUI, graph: Graph, **inputs: Any) -> tuple[Path, dict[str, Any]]:
    """Run a graph with Join Videos and Save Video. Return the saved film and the info output."""
    node = graph.add("Wan27JoinVideos", **{**JOIN, **inputs})
    info = graph.add("TestKeep", value=(node, 1))
    saved = graph.add("SaveVideo", video=(node, 0), filename_prefix="video/film", format="auto", codec="auto")
    run = comfy.run(graph)
    assert run.error is None, run.error
    (path,) = run.files(saved)
    return path, json.loads(kept(run, info)[0])


def test_join_takes_the_videos_of_a_batch_and_single_ones(comfy: ComfyUI, service: Service, tmp_path: Path) -> None:
    graph = Graph()
    images = [
        graph.add("LoadImage", image=comfy.upload(f"film_{seed}.png", png(photo(640, 480, seed=seed))))
        for seed in (1, 2)
    ]
    batch = graph.add("ImageBatch", image1=(images[0], 0), image2=(images[1], 0))
    url = upload_image(graph, (batch, 0))
    made = pair(graph, **SMALL, image_url=(url, 0), seed=811)
    extra = load(comfy, graph, tmp_path, "extra.mp4", frames=10, audio=None)

    path, info = film_of(comfy, graph, videos=(made.wait, 0), video_3=extra)

    assert len(service.posts()) == 2
    assert (info["shots"], info["encoded"]) == (3, True)
    played = play(path)
    assert played.frames == info["frames"] == sum(info["frames_of_shots"])
    assert info["frames_of_shots"][2] == round(info["fps"])
    assert played.audio_seconds == pytest.approx(info["seconds"], abs=1 / info["fps"])


def test_join_of_frames_from_other_nodes_crossfades(comfy: ComfyUI, tmp_path: Path) -> None:
    graph = Graph()
    one = load(comfy, graph, tmp_path, "one.mp4", frames=12)
    parts = graph.add("GetVideoComponents", video=one)
    made = graph.add("CreateVideo", images=(parts, 0), audio=(parts, 1), fps=(parts, 2))

    path, info = film_of(comfy, graph, video_2=one, video_5=(made, 0), crossfade_seconds=0.4)

    assert (info["frames"], info["frames_of_shots"], info["seconds"]) == (20, [12, 12], 2.0)
    assert play(path).frames == 20


def test_join_shows_its_work_and_what_it_did(comfy: ComfyUI, tmp_path: Path) -> None:
    graph = Graph()
    one = load(comfy, graph, tmp_path, "red.mp4", frames=12, colour=(160, 60, 60))
    two = load(comfy, graph, tmp_path, "less_red.mp4", frames=12, colour=(140, 60, 60), audio=None)
    node = graph.add("Wan27JoinVideos", **{**JOIN, "match_colors": "to_previous"}, video_1=one, video_2=two)
    info = graph.add("TestKeep", value=(node, 1))
    graph.add("SaveVideo", video=(node, 0), filename_prefix="video/film", format="auto", codec="auto")

    run = comfy.run(graph)

    assert run.error is None, run.error
    found = json.loads(kept(run, info)[0])
    [seam] = found["seams"]
    assert seam["color_step_before"] > 5 > 1 > seam["color_step_after"]
    assert found["notes"] == ["Shot 2: it is silent: it has no audio."]
    *steps, last = run.texts_of(node)
    assert "Encoding shot 2 of 2" in steps
    assert last.startswith("2 shots, 2.40 s: encoded, as match_colors is to_previous.\nColor difference at the seams")
    assert "Shot 2: it is silent: it has no audio." in last


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"seam": "glue"}, ["seam", "glue", "drop_repeated"]),
        ({"match_colors": "always"}, ["match_colors", "always", "to_previous"]),
        ({"crossfade_seconds": 3.0}, ["crossfade_seconds", "2"]),
    ],
    ids=["seam", "match_colors", "crossfade_seconds"],
)
def test_join_refuses_bad_values_when_queued(
    inputs: dict[str, Any], words: list[str], comfy: ComfyUI, tmp_path: Path
) -> None:
    graph = Graph()
    video = load(comfy, graph, tmp_path, "one.mp4", frames=12)
    node = graph.add("Wan27JoinVideos", **{**JOIN, **inputs}, video_1=video)
    graph.add("SaveVideo", video=(node, 0), filename_prefix="video/film", format="auto", codec="auto")

    with pytest.raises(RejectedError) as refusal:
        comfy.queue(graph)

    text = refusal.value.texts(node)
    assert all(word in text for word in words), text


def test_join_leaves_out_a_socket_that_gets_none_but_no_shot_of_a_list(comfy: ComfyUI, tmp_path: Path) -> None:
    graph = Graph()
    one = load(comfy, graph, tmp_path, "one.mp4", frames=12)
    nothing = graph.add("TestOddValue", kind="none", file=""), 0

    _, info = film_of(comfy, graph, video_1=one, video_2=nothing, video_3=one)

    assert info["frames_of_shots"] == [12, 12]

    graph = Graph()
    one = load(comfy, graph, tmp_path, "one.mp4", frames=12)
    nothing = graph.add("TestOddValue", kind="none", file=""), 0
    node = graph.add("Wan27JoinVideos", **JOIN, videos=nothing, video_1=one)
    graph.add("SaveVideo", video=(node, 0), filename_prefix="video/film", format="auto", codec="auto")

    run = comfy.run(graph)

    assert run.error is not None
    assert "Shot 1 of 2: video is None" in run.error.message


def test_join_without_a_video_says_what_to_link(comfy: ComfyUI) -> None:
    graph = Graph()
    node = graph.add("Wan27JoinVideos", **JOIN)
    graph.add("SaveVideo", video=(node, 0), filename_prefix="video/film", format="auto", codec="auto")

    run = comfy.run(graph)

    assert run.error is not None
    assert "nothing to join. Link videos" in run.error.message


def test_join_makes_the_film_again_if_its_file_is_gone(comfy: ComfyUI, tmp_path: Path) -> None:
    def film() -> Graph:
        graph = Graph()
        video = load(comfy, graph, tmp_path, "again.mp4", frames=12)
        node = graph.add("Wan27JoinVideos", **JOIN, video_1=video, video_2=video)
        graph.add("SaveVideo", video=(node, 0), filename_prefix="video/again", format="auto", codec="auto")
        return graph

    assert comfy.run(film()).error is None
    for path in (comfy.base / "temp").glob("wan27_film_*.mp4"):
        path.unlink()
    graph = film()
    graph.add("PreviewAny", source=("1", 0))

    run = comfy.run(graph)

    assert run.error is None
