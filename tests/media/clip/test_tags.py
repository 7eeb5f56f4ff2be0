"""What a video says of people, places, paths and prompts does not leave the machine with it. The bytes are searched."""

from __future__ import annotations

import json
import random
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from nodes.core import limits
from nodes.core.mp4_boxes import walk_boxes
from nodes.media.clip import encode as clip_encode
from nodes.media.clip.encode import encode_clip
from nodes.media.clip.tags import blank, find_private
from nodes.media.files import MediaError, MediaFile, sha256_of
from tests.media.comfyui_inputs import FileVideo
from tests.media_files import Clip, boxes, write, write_clip
from tests.media_reading import sides
from tests.systems import refuse_deletions

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


INSIDE = {b"stsd": 8, b"avc1": 78}
"""Bytes before the first box inside of a box, if there are any."""
LEVELS: dict[str, list[bytes]] = {
    "file": [],
    "moov": [b"moov"],
    "trak": [b"moov", b"trak"],
    "mdia": [b"moov", b"trak", b"mdia"],
    "minf": [b"moov", b"trak", b"mdia", b"minf"],
    "stbl": [b"moov", b"trak", b"mdia", b"minf", b"stbl"],
    "sample entry": [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"],
}


def with_box(data: bytes, parents: list[bytes], kind: bytes, content: bytes) -> bytes:
    """Return an mp4, whose moov comes last, with one more box at the end of the innermost parent."""
    result, end, headers = bytearray(data), len(data), []
    start = 0
    for parent in parents:
        box = next(box for box in walk_boxes(BytesIO(data), start, end) if box.kind == parent)
        headers.append(box.header)
        start, end = box.start + INSIDE.get(parent, 0), box.end
    added = (8 + len(content)).to_bytes(4, "big") + kind + content
    result[end:end] = added
    for header in headers:
        size = int.from_bytes(result[header : header + 4], "big") + len(added)
        result[header : header + 4] = size.to_bytes(4, "big")
    return bytes(result)


def check_sent(path: Path, encode: Any) -> MediaFile:
    """Check that the clip is sent without the secret, and that everything is played as before."""
    before = path.read_bytes()
    assert SECRET.encode() in before
    file = encode(FileVideo(str(path)), on_limit="error")
    sent = file.path.read_bytes()
    assert SECRET.encode() not in sent
    assert len(sent) == len(before)
    assert packets(file.path) == packets(path)
    assert path.read_bytes() == before
    return file


@pytest.fixture(scope="module")
def plain_clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_clip(tmp_path_factory.mktemp("plain") / "clip.mp4", audio=2.0).read_bytes()


@pytest.mark.parametrize(
    ("kind", "level"),
    [(kind, level) for kind in ("uuid", "udta", "meta", "free", "Xtra") for level in LEVELS],
)
def test_encode_clip_blanks_boxes_at_every_level(
    kind: str, level: str, plain_clip: bytes, encode, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(with_box(plain_clip, LEVELS[level], kind.encode(), bytes(16) + SECRET.encode()))
    assert "without its tags" in check_sent(path, encode).notes[0]


XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


def test_encode_clip_names_xmp(plain_clip: bytes, encode, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(with_box(plain_clip, [], b"uuid", XMP + b"<?xpacket begin=''?>" + SECRET.encode()))
    assert "(XMP)" in check_sent(path, encode).notes[0]


@pytest.mark.parametrize("extension", ["mp4", "mov"])
def test_encode_clip_blanks_handler_names(extension: str, encode, tmp_path: Path) -> None:
    path = tmp_path / f"clip.{extension}"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        video.metadata["handler_name"] = f"C:\\Users\\{SECRET}.264"
        for _ in range(30):
            container.mux(video.encode(av.VideoFrame(320, 240, "yuv420p")))
        container.mux(video.encode())
    assert "handler name" in check_sent(path, encode).notes[0]


def test_encode_clip_blanks_the_name_of_the_encoder(encode, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mov")
    data = bytearray(path.read_bytes())
    at = data.index(b"avc1", data.index(b"stsd")) + 4 + 42
    data[at : at + 32] = bytes([len(SECRET)]) + SECRET.encode().ljust(31, b"\0")
    path.write_bytes(data)
    assert "encoder name" in check_sent(path, encode).notes[0]


def test_encode_clip_blanks_where_the_data_of_a_track_is(encode, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    data = write_clip(path).read_bytes()
    parents = [b"moov", b"trak", b"mdia", b"minf", b"dinf"]
    data = data.replace(b"dref", b"free")
    alias = b"\0\0\0\1" + b"Macintosh HD:Users:" + SECRET.encode()
    table = bytes(7) + b"\1" + (8 + len(alias)).to_bytes(4, "big") + b"alis" + alias
    path.write_bytes(with_box(data, parents, b"dref", table))
    assert "path" in check_sent(path, encode).notes[0]


def test_encode_clip_blanks_tracks_that_are_neither_video_nor_audio(encode, tmp_path: Path) -> None:
    """Phones and cameras write places, faces and texts into tracks of their own."""
    text = SECRET.encode() * 400

    def signal(channels: int, rate: int, seconds: float) -> np.ndarray:
        values = np.resize(np.frombuffer(text, "<i2"), (channels, round(rate * seconds)))
        return ((values + 0.25) / 32767).astype(np.float32)

    clip = Clip(size=(320, 240), frames=30, audio="pcm_s16le", layout="mono", rate=8000, signal=signal)
    path = write(tmp_path / "clip.mov", clip)
    data = path.read_bytes()
    assert SECRET.encode() in data
    path.write_bytes(data.replace(b"mhlrsoun", b"mhlrmeta").replace(b"sowt", b"mebx"))
    before = [packet[1:] for packet in packets(path) if packet[0] == 0]

    file = encode(FileVideo(str(path)), on_limit="error")

    assert SECRET.encode() not in file.path.read_bytes()
    assert [packet[1:] for packet in packets(file.path)] == before
    assert "meta track" in file.notes[0]


@pytest.mark.parametrize("where", ["in mdat", "after all boxes"])
def test_encode_clip_blanks_what_no_track_uses(where: str, plain_clip: bytes, encode, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    if where == "in mdat":
        path.write_bytes(with_box(plain_clip, [], b"mdat", SECRET.encode()))
    else:
        path.write_bytes(plain_clip + b"\0\0\0\1" + SECRET.encode())
    assert "unused data" in check_sent(path, encode).notes[0]


def test_encode_clip_keeps_frames_that_an_edit_list_leaves_out(encode, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", frames=90).read_bytes()
    data = bytearray(with_box(whole, [], b"uuid", bytes(16) + SECRET.encode()))
    at = boxes(bytes(data), b"elst")[0] + 8
    duration = int.from_bytes(data[at : at + 4], "big")
    data[at : at + 4] = (duration - 500).to_bytes(4, "big")
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    sent = encode(FileVideo(str(path))).path.read_bytes()
    assert b"mdat" in sent
    start, end = next((box.start, box.end) for box in walk_boxes(BytesIO(data), 0, len(data)) if box.kind == b"mdat")
    assert sent[start:end] == data[start:end]


@pytest.mark.parametrize("extension", ["mp4", "mov"])
def test_encode_clip_sends_a_clip_without_private_parts_byte_for_byte(extension: str, encode, tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"clip.{extension}", audio=2.0)
    file = encode(FileVideo(str(path)))
    assert (file.path, file.notes) == (path, ())


def test_encode_clip_encodes_a_clip_with_a_compressed_index(encode, tmp_path: Path) -> None:
    data = write_clip(tmp_path / "plain.mp4", tags={"comment": SECRET}).read_bytes()
    at = data.index(b"moov") - 4
    moov = data[at:]
    packed = zlib.compress(moov)
    parts = [(b"dcom", b"zlib"), (b"cmvd", len(moov).to_bytes(4, "big") + packed)]
    cmov = b"".join((8 + len(content)).to_bytes(4, "big") + kind + content for kind, content in parts)
    outer = b"".join([(16 + len(cmov)).to_bytes(4, "big"), b"moov", (8 + len(cmov)).to_bytes(4, "big"), b"cmov", cmov])
    path = tmp_path / "clip.mov"
    path.write_bytes(data[:at] + outer)

    file = encode(FileVideo(str(path)))

    assert "index is compressed" in file.notes[0]
    assert b"cmov" not in file.path.read_bytes()
    with pytest.raises(MediaError, match="index is compressed"):
        encode(FileVideo(str(path)), on_limit="error")


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


def test_encode_clip_encodes_a_clip_whose_tags_are_not_found(
    encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "clip.mp4", options=AS_CORE, tags=GRAPH)
    monkeypatch.setattr(clip_encode, "find_private", lambda source: [])
    file = encode(FileVideo(str(path)))
    assert SECRET.encode() not in file.path.read_bytes()


def test_encode_clip_writes_no_names_or_boxes_of_the_source_when_it_encodes(encode, tmp_path: Path) -> None:
    data = write_clip(tmp_path / "plain.mp4", frames=90, options=AS_CORE, tags=GRAPH).read_bytes()
    data = data.replace(b"VideoHandler", SECRET.encode()[:12])
    path = tmp_path / "clip.mp4"
    path.write_bytes(with_box(data, LEVELS["trak"], b"uuid", XMP + SECRET.encode()))
    sent = encode(FileVideo(str(path), (0.5, 2.2))).path.read_bytes()
    assert SECRET.encode()[:12] not in sent
    assert b"uuid" not in sent and b"prompt" not in sent


def test_encode_clip_encodes_a_clip_whose_tags_cannot_be_removed(
    encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "clip.mp4", options=AS_CORE, tags={**GRAPH, "x" * 900: "y"})
    monkeypatch.setattr(clip_encode, "blank", lambda *_: False)
    file = encode(FileVideo(str(path)))
    assert SECRET.encode() not in file.path.read_bytes()
    assert "prompt, workflow" in file.notes[0] and len(file.notes[0]) < 200
    assert list((tmp_path / "out").iterdir()) == [file.path]
    with pytest.raises(MediaError, match="tags"):
        encode(FileVideo(str(path)), on_limit="error")
    refuse_deletions(monkeypatch)
    assert encode(FileVideo(str(path))).notes == file.notes


def test_blank_ends_on_damaged_boxes(tmp_path: Path) -> None:
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
            gone = blank(path, find_private(path), BytesIO(broken))
        except MediaError:  # it is encoded then, if it can be read at all
            continue
        assert not gone or not tags(path) & set(GRAPH)
        assert path.stat().st_size == len(data)
