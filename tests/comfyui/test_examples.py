"""Every example workflow, run as the frontend queues it; tests/browser/test_examples.py proves that it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.comfyui import example
from tests.comfyui.graphs import SECONDS
from tests.demo import play
from tests.examples import build, workflows
from tests.examples.inputs import CLIP_SECONDS, put_inputs
from tests.host.comfy import ComfyUI, Prompt, RejectedError, Run
from tests.service import Service


@pytest.fixture(scope="module", autouse=True)
def inputs(shared_comfy: ComfyUI) -> None:
    put_inputs(shared_comfy)


def quick(name: str) -> Prompt:
    """Return the prompt of an example with its videos as short as possible."""
    prompt = workflows.sheets()[name].prompt()
    for entry in _of(prompt, "Wan27ImageToVideo").values():
        entry["inputs"]["duration"] = SECONDS + (CLIP_SECONDS if entry["inputs"]["first_clip_url"] else 0)
    return prompt


def _of(prompt: Prompt, class_type: str) -> Prompt:
    return {node: entry for node, entry in prompt.items() if entry["class_type"] == class_type}


def mp4s(run: Run) -> list[Path]:
    return [file for node in _of(run.prompt, "SaveVideo") for file in run.files(node)]


def posts(service: Service) -> list[dict[str, Any]]:
    return [post for post in service.posts() if post["accepted"]]


def test_example_files_are_what_the_builder_makes() -> None:
    for path, content in build.files().items():
        assert json.loads(path.read_text()) == content, (
            f"{path}: run python3 -m tests.host python -m tests.examples.build"
        )


def test_examples_have_small_thumbnails_and_nothing_is_left_over() -> None:
    names = {*workflows.sheets(), example.WORKFLOW.stem}
    assert {path.name for path in build.WORKFLOWS.iterdir()} == {f"{n}.{end}" for n in names for end in ("json", "jpg")}
    assert {path.name for path in build.WORKFLOWS.glob("*.jpg") if path.stat().st_size > 60_000} == set()


def test_examples_are_offered_as_templates(comfy: ComfyUI) -> None:
    offered = comfy.get_json("/workflow_templates")["wan27-video"]
    assert set(offered) == {*workflows.sheets(), example.WORKFLOW.stem}


def test_example_first_and_last_frame(comfy: ComfyUI, service: Service) -> None:
    prompt = quick("first_and_last_frame")
    last = next(node for node, entry in _of(prompt, "LoadImage").items() if node == "2")
    prompt[last]["inputs"]["image"] = "wan27_second.png"
    run = comfy.run(prompt)
    (video,) = mp4s(run)
    assert play(video).frames > 0
    (post,) = posts(service)
    assert post["body"]["image_url"] != post["body"]["last_frame_url"]


def test_example_continue_a_clip(comfy: ComfyUI, service: Service) -> None:
    run = comfy.run(quick("continue_a_clip"))
    (video,) = mp4s(run)
    played = play(video)
    assert played.frames / played.fps == pytest.approx(CLIP_SECONDS + SECONDS, abs=0.2)
    (node,) = _of(run.prompt, "PreviewAny")
    assert float(run.outputs[node]["text"][0]) == pytest.approx(CLIP_SECONDS, abs=0.1)


@pytest.mark.parametrize(
    ("name", "prompts"),
    [("three_shots", workflows.SHOTS), ("storyboard_to_film", workflows.STORYBOARD)],
    ids=["three_shots", "storyboard_to_film"],
)
def test_example_shots_follow_on_each_other_and_become_one_film(
    name: str, prompts: tuple[str, ...], comfy: ComfyUI, service: Service
) -> None:
    run = comfy.run(quick(name))
    sent = posts(service)
    assert [post["body"]["prompt"] for post in sent] == list(prompts)
    assert len({post["body"]["image_url"] for post in sent}) == len(prompts)
    (film,) = mp4s(run)
    played = play(film)
    # The sandbox starts a shot on the very frame that it is given, so each shot after the first repeats one.
    assert played.frames == round(SECONDS * played.fps) * len(prompts) - (len(prompts) - 1)
    assert played.audio_seconds == pytest.approx(played.frames / played.fps, abs=1 / played.fps)


def test_example_batch_to_parallel_shots(comfy: ComfyUI, service: Service) -> None:
    prompt = quick("batch_to_parallel_shots")
    for number, entry in enumerate(_of(prompt, "LoadImage").values()):
        entry["inputs"]["image"] = ("example.png", "wan27_second.png", "wan27_third.png")[number]
    run = comfy.run(prompt)
    assert len(mp4s(run)) == 3
    assert len(posts(service)) == 3
    assert len({path.read_bytes() for path in mp4s(run)}) == 3


def test_example_batch_of_the_same_image_is_paid_once(comfy: ComfyUI, service: Service) -> None:
    prompt = quick("batch_to_parallel_shots")
    for entry in _of(prompt, "Wan27ImageToVideo").values():
        entry["inputs"]["seed"] = 77
    run = comfy.run(prompt)
    assert len(mp4s(run)) == 3
    assert len(posts(service)) == 1


def test_example_local_model_is_valid_but_for_the_model(comfy: ComfyUI) -> None:
    prompt = quick("local_model_to_video")
    (loader,) = _of(prompt, "CheckpointLoaderSimple").values()
    loader["inputs"]["ckpt_name"] = "a_model_that_is_not_there.safetensors"
    with pytest.raises(RejectedError) as refused:
        comfy.run(prompt)
    errors = [error for entry in refused.value.node_errors.values() for error in entry["errors"]]
    assert {error["type"] for error in errors} == {"value_not_in_list"}
    assert {error["extra_info"]["input_name"] for error in errors} == {"ckpt_name"}


def test_example_local_model_with_an_image_in_its_place(comfy: ComfyUI, service: Service) -> None:
    prompt = quick("local_model_to_video")
    (decoder,) = _of(prompt, "VAEDecode")
    prompt[decoder] = {"class_type": "LoadImage", "inputs": {"image": workflows.IMAGE}}
    for model_node in ("CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler"):
        for node in _of(prompt, model_node):
            del prompt[node]
    (video,) = mp4s(comfy.run(prompt))
    assert play(video).frames > 0


def test_example_resume_a_task(comfy: ComfyUI, service: Service) -> None:
    new = quick("frames_through_a_node_and_back")
    for entry in _of(new, "Wan27ImageToVideo").values():
        entry["inputs"]["seed"] = 78
    paid = comfy.run(new)
    assert len(mp4s(paid)) == 1
    (post,) = posts(service)
    prompt = quick("resume_a_task")
    (wait,) = _of(prompt, "Wan27WaitForVideo")
    prompt[wait]["inputs"]["task_id"] = post["task_id"]
    run = comfy.run(prompt)
    assert len(mp4s(run)) == 1
    assert len(posts(service)) == 1
    (info,) = _of(prompt, "PreviewAny")
    assert json.loads(run.outputs[info]["text"][0])["task_id"] == post["task_id"]


def test_example_resume_without_an_id_says_what_to_paste(comfy: ComfyUI) -> None:
    with pytest.raises(RejectedError) as refused:
        comfy.run(quick("resume_a_task"))
    (node,) = _of(quick("resume_a_task"), "Wan27WaitForVideo")
    assert "task_id" in refused.value.texts(node)


def test_example_frames_through_a_node_and_back(comfy: ComfyUI, service: Service) -> None:
    run = comfy.run(quick("frames_through_a_node_and_back"))
    (video,) = mp4s(run)
    played = play(video)
    assert played.frames == round(SECONDS * played.fps)
    assert played.audio_seconds == pytest.approx(SECONDS, abs=0.15)
    assert np.isfinite(played.loudness)
