"""Each host in a real ComfyUI in which nothing is set but the host's key, against the host's stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.comfyui.graphs import decode, kept, pair, upload_audio, upload_image, upload_video
from tests.host.comfy import ComfyUI, Graph
from tests.host.fixtures import HELPERS, QUICK
from tests.hosts.fixtures import KNOWN, STAND_INS
from tests.hosts.stand_in import StandIn
from tests.media_files import clip_bytes, photo, png, wav_bytes


@pytest.fixture(scope="module")
def all_hosts() -> Iterator[dict[str, StandIn]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(make()) for name, make in STAND_INS.items()}


@pytest.fixture(scope="module")
def traveller(tmp_path_factory: pytest.TempPathFactory, all_hosts: dict[str, StandIn]) -> Iterator[ComfyUI]:
    """A ComfyUI that finds the stand-in at the address of each host. It has no key."""
    env = dict(QUICK)
    for each in all_hosts.values():
        env |= {name: value for name, value in each.environment().items() if name != each.key_variable}
    with ComfyUI(tmp_path_factory.mktemp("hosts"), env=env, custom_nodes=[HELPERS]) as comfy:
        yield comfy


@pytest.fixture(params=KNOWN)
def host(request: pytest.FixtureRequest, all_hosts: dict[str, StandIn], traveller: ComfyUI) -> Iterator[StandIn]:
    """A host whose key is the only line in config.toml."""
    made = all_hosts[request.param]
    made.reset()
    folder = traveller.base / "user" / "__wan27"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(f'[{made.name}]\napi_key = "{made.key}"\n')
    yield made
    assert made.mistakes == []
    assert made.key not in traveller.log


def seed_of(host: StandIn) -> int:
    """Return a seed for this host: the same request as at another host would find the video that was made there."""
    return list(STAND_INS).index(host.name)


def made_by(host: StandIn, file: Path) -> bool:
    [task_id] = host.accepted()
    return file.read_bytes() == host.video(task_id)


def test_host_makes_a_video_of_two_frames_and_audio(traveller: ComfyUI, host: StandIn) -> None:
    first = traveller.upload("first.png", png(photo(320, 240, seed=1)))
    last = traveller.upload("last.png", png(photo(320, 240, seed=2)))
    voice = traveller.upload("voice.wav", wav_bytes(4.0))
    graph = Graph()
    media = {"image_url": (upload_image(graph, first), 0), "last_frame_url": (upload_image(graph, last), 0)}
    if host.upload_seconds:
        media["driving_audio_url"] = (upload_audio(graph, voice), 0)
    made = pair(graph, seed=seed_of(host), duration=5, resolution="720P", watermark=True, **media)
    run = traveller.run(graph)
    assert made_by(host, *run.files(made.wait))
    assert {*host.task().media} == {*media}
    assert all(host.task().media.values())
    told = "".join(run.texts_of(made.submit))
    assert ("watermark" in told) == ("watermark" not in host.names)


def test_host_continues_a_clip(traveller: ComfyUI, host: StandIn) -> None:
    graph = Graph()
    clip = upload_video(graph, traveller.upload("clip.mp4", clip_bytes(2.5, with_audio=True)))
    made = pair(graph, seed=seed_of(host), duration=5, resolution="720P", first_clip_url=(clip, 0))
    frames = decode(graph, (made.wait, 0))
    run = traveller.run(graph)
    if not host.upload_seconds:
        assert run.error is not None
        assert 'kind = "s3"' in run.error.message
        assert host.accepted() == []
        return
    assert made_by(host, *run.files(made.wait))
    assert kept(run, frames.count) == [8]
    assert host.task().media["first_clip_url"]


@pytest.mark.parametrize("host", ["replicate"], indirect=True)
def test_audio_that_is_too_short_for_the_host_is_refused_or_padded(traveller: ComfyUI, host: StandIn) -> None:
    # Of their own: the stand-in has forgotten what other tests uploaded, and the pack has not.
    first = traveller.upload("speaker.png", png(photo(320, 240, seed=3)))
    voice = traveller.upload("short.wav", wav_bytes(2.5))

    def graph_of(on_limit: str) -> tuple[Graph, str, str]:
        graph = Graph()
        audio = upload_audio(graph, voice, on_limit=on_limit)
        media = {"image_url": (upload_image(graph, first), 0), "driving_audio_url": (audio, 0)}
        return graph, audio, pair(graph, seed=90, duration=5, resolution="720P", watermark=True, **media).wait

    graph, audio, _ = graph_of("error")
    run = traveller.run(graph)
    assert run.error and run.error.node == audio
    assert "lasts 2.5 s; at least 3 s at Replicate are needed" in run.error.message
    assert host.accepted() == []

    graph, _, wait = graph_of("fit")
    assert made_by(host, *traveller.run(graph).files(wait))
    padded = host.task().media["driving_audio_url"]
    assert padded and len(padded) == len(wav_bytes(3.0))
    assert "watermark" not in host.task().body["input"]
