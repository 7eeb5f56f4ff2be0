"""A graph that ComfyUI wrote into a video does not leave the machine with it."""

from __future__ import annotations

import json
import random
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import pytest

from nodes.core import limits
from nodes.media.clip import encode as clip_encode
from nodes.media.clip.encode import encode_clip
from nodes.media.clip.tags import blank_tags
from nodes.media.files import MediaError, MediaFile, sha256_of
from tests.media.comfyui_inputs import FileVideo
from tests.media_files import write_clip
from tests.media_reading import sides

SECRET = "a portrait of my neighbour"
GRAPH = {
    "prompt": json.dumps({"1": {"class_type": "CLIPTextEncode", "inputs": {"text": SECRET}}}),
    "workflow": json.dumps({"nodes": [{"widgets_values": [SECRET]}]}),
}
AS_CORE = {"movflags": "use_metadata_tags"}


@pytest.fixture
def encode(tmp_path: Path):
    def run(video: Any, **options) -> MediaFile:
        (tmp_path / "out").mkdir(exist_ok=True)
        return encode_clip(video, limits.CLIP, directory=tmp_path / "out", **options)

    return run


def tags(path: Path) -> set[str]:
    with av.open(str(path)) as container:
        return set(container.metadata) | {name for stream in container.streams for name in stream.metadata}


def packets(path: Path) -> list[tuple[Any, ...]]:
    """Return everything that is played, and when."""
    with av.open(str(path)) as container:
        return [
            (packet.stream.index, packet.pts, packet.dts, packet.duration, packet.is_keyframe, bytes(packet))
            for packet in container.demux()
        ]


FILES: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "Save Video": ("mp4", AS_CORE, GRAPH),
    "Save Video, mov": ("mov", AS_CORE, GRAPH),
    "index in front": ("mp4", {"movflags": "use_metadata_tags+faststart"}, GRAPH),
    "other nodes": ("mp4", {}, {"comment": json.dumps(GRAPH)}),
    "other programs, mov": ("mov", {}, {"comment": SECRET, "title": SECRET}),
    "in pieces": ("mp4", {"movflags": "frag_keyframe+empty_moov"}, {"comment": SECRET}),
    "phones": ("mov", AS_CORE, {"com.apple.quicktime.location.ISO6709": SECRET}),
}


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("mode", ["fit", "error"])
def test_encode_clip_removes_tags_and_keeps_everything_else(case: str, mode: str, encode, tmp_path: Path) -> None:
    extension, options, private = FILES[case]
    path = write_clip(tmp_path / f"clip.{extension}", audio=2.0, options=options, tags=private)
    before = path.read_bytes()
    assert SECRET.encode() in before

    file = encode(FileVideo(str(path)), on_limit=mode)

    sent = file.path.read_bytes()
    assert SECRET.encode() not in sent
    assert not any(name.encode() in sent for name in private)
    assert not tags(file.path) & set(private)
    assert packets(file.path) == packets(path)
    assert (file.path.parent, file.extension, file.size) == (tmp_path / "out", extension, len(before))
    assert file.content == sha256_of(path) != file.sha256
    assert next(iter(private))[:24] in file.notes[0]
    assert path.read_bytes() == before


def test_encode_clip_removes_tags_of_a_rotated_clip_in_memory(encode, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", size=(480, 320), rotation=90, options=AS_CORE, tags=GRAPH)
    buffer = BytesIO(path.read_bytes())
    file = encode(FileVideo(buffer))
    assert sides(file) == (320, 480)
    assert packets(file.path) == packets(path)
    assert SECRET.encode() not in file.path.read_bytes()
    assert buffer.getvalue() == path.read_bytes()


def test_encode_clip_writes_no_tags_when_it_encodes(encode, tmp_path: Path) -> None:
    file = encode(FileVideo(str(write_clip(tmp_path / "clip.mkv", tags=GRAPH))))
    assert SECRET.encode() not in file.path.read_bytes()


def test_encode_clip_encodes_a_clip_whose_tags_cannot_be_removed(
    encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "clip.mp4", options=AS_CORE, tags={**GRAPH, "x" * 900: "y"})
    monkeypatch.setattr(clip_encode, "blank_tags", lambda path: False)
    file = encode(FileVideo(str(path)))
    assert SECRET.encode() not in file.path.read_bytes()
    assert "prompt, workflow" in file.notes[0] and len(file.notes[0]) < 200
    assert list((tmp_path / "out").iterdir()) == [file.path]
    with pytest.raises(MediaError, match="tags"):
        encode(FileVideo(str(path)), on_limit="error")


def test_blank_tags_ends_on_damaged_boxes(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "clip.mp4", options=AS_CORE, tags=GRAPH).read_bytes()
    places = [at - 4 for kind in (b"moov", b"trak", b"udta", b"meta", b"mdat") for at in [data.index(kind)]]
    dice = random.Random(1)
    for _ in range(60):
        broken = bytearray(data)
        at = dice.choice(places)
        broken[at : at + 4] = dice.choice([0, 1, 7, 8, 0xFFFFFFFF, dice.randrange(1 << 16)]).to_bytes(4, "big")
        path = tmp_path / "broken.mp4"
        path.write_bytes(broken)
        try:
            gone = blank_tags(path)
        except MediaError:  # no player opens it either
            continue
        assert not gone or not tags(path) & set(GRAPH)
        assert path.stat().st_size == len(data)
