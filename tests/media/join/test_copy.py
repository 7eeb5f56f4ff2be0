from __future__ import annotations

import errno
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from nodes.media.files import MediaError
from nodes.media.image.pixels import plane_of
from nodes.media.join import copy
from nodes.media.video.geometry import orientation_of
from tests.media.comfyui_inputs import FileVideo
from tests.media.shots import FPS, file, join, packets, scene, shot, three_shots
from tests.media_files import turn
from tests.media_reading import times_of

X265 = {"crf": "20", "preset": "ultrafast", "x265-params": "log-level=none:info=0"}
"""Without `info`, which names the threads of the encoder: these may differ from file to file."""
KINDS: dict[str, dict[str, Any]] = {
    "h264": {"options": {"crf": "20", "bf": "0"}},
    "b_frames": {"options": {"crf": "20", "bf": "3", "b-pyramid": "normal"}},
    "key_frames_only": {"gop": 1},
    "open_gop": {"gop": 6, "options": {"crf": "20", "bf": "2", "x264-params": "open-gop=1"}},
    "h264_10bit": {"pixels": "yuv420p10le"},
    "h264_444": {"pixels": "yuv444p"},
    "hevc": {"codec": "libx265", "options": X265},
    "hevc_b_frames": {"codec": "libx265", "gop": 8, "options": {**X265, "preset": "fast"}},
    "hevc_10bit": {"codec": "libx265", "pixels": "yuv420p10le", "options": X265},
    "hdr": {
        "codec": "libx265",
        "pixels": "yuv420p10le",
        "options": X265,
        "colours": {"color_trc": 16, "color_primaries": 9, "colorspace": 9},
    },
    "fragments": {"mux": {"movflags": "frag_keyframe+empty_moov"}},
    "ntsc": {"fps": Fraction(30_000, 1001)},
    "milliseconds": {"mux": {"video_track_timescale": "1000"}},
    "late_start": {"delay": 0.5},
    "silent": {"audio": None},
}


def decoded(path: Path, threads: str = "SLICE") -> list[np.ndarray]:
    """Return the bytes of every frame as its decoder gives it, one plane after the other."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = threads
        return [_samples(frame) for frame in container.decode(video=0)]


def _samples(frame: av.VideoFrame) -> np.ndarray:
    size = 2 if frame.format.components[0].bits > 8 else 1
    planes = [plane_of(frame, index, plane.width * size, plane.height) for index, plane in enumerate(frame.planes)]
    return np.concatenate([plane.ravel() for plane in planes])


@pytest.mark.parametrize("kind", KINDS)
def test_copy_decodes_to_the_frames_of_the_shots(kind: str, tmp_path: Path) -> None:
    shots = three_shots(tmp_path, **KINDS[kind])
    film, path = join(shots, tmp_path)
    assert film.reason == ""
    assert packets(path) == [data for video in shots for data in packets(file(video))]
    wanted = [frame for video in shots for frame in decoded(file(video))]
    for threads in ("SLICE", "FRAME"):
        found = decoded(path, threads)
        assert len(found) == len(wanted) == 3 * FPS
        assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))
    rate = KINDS[kind].get("fps", FPS)
    assert times_of(path) == pytest.approx([float(index / rate) for index in range(3 * FPS)], abs=0.0011)


def test_copy_keeps_the_rotation(tmp_path: Path) -> None:
    shots = three_shots(tmp_path)
    for video in shots:
        turn(file(video), 1)
    film, path = join(shots, tmp_path)
    assert film.reason == ""
    with av.open(str(path)) as container, av.open(str(file(shots[0]))) as source:
        assert orientation_of(next(container.decode(video=0))) == orientation_of(next(source.decode(video=0)))
    assert film.form.size == (96, 160)


def test_copy_keeps_apples_name_of_hevc(tmp_path: Path) -> None:
    _, path = join(three_shots(tmp_path, codec="libx265", options=X265), tmp_path)
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


@pytest.mark.parametrize(
    "change",
    [
        {"colours": {"color_trc": 16}},
        {"size": (160, 80)},
        {"fps": 25},
        {"options": {"crf": "12", "refs": "1", "bf": "0"}},
        {"pixels": "yuv420p10le"},
        {"codec": "libx265", "options": X265},
    ],
    ids=["color", "size", "rate", "extradata", "depth", "codec"],
)
def test_copy_is_not_tried_with_shots_of_different_kinds(change: dict[str, Any], tmp_path: Path) -> None:
    shots = [shot(tmp_path / "a.mp4", scene(0)), shot(tmp_path / "b.mp4", scene(0), **change)]
    film, path = join(shots, tmp_path)
    assert "shot 2 has another" in film.reason
    assert len(decoded(path)) == film.total


def test_copy_is_not_tried_with_a_turned_shot_among_others(tmp_path: Path) -> None:
    shots = three_shots(tmp_path)
    turn(file(shots[1]), 2)
    film, _ = join(shots, tmp_path)
    assert "shot 2 has another" in film.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fps": 240, "frames": 60}, "shot 1: its 240 frames per second become 120, which every player takes"),
        ({"times": (0, 40, 240, 280, 680, 720), "frames": 6}, "shot 1: its frame rate varies"),
        ({"codec": "mpeg4", "options": {}}, "shot 1: its video is mpeg4"),
        ({"pixel_aspect": Fraction(4, 3)}, "shot 1: its pixels are not square"),
    ],
    ids=["fast", "variable", "codec", "pixels"],
)
def test_copy_is_not_tried_with_what_players_may_not_take(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    film, _ = join([shot(tmp_path / f"{n}.mp4", scene(0), **change) for n in range(2)], tmp_path)
    assert film.reason.startswith(words)


def remuxed(path: Path, source: Path, change: Any) -> FileVideo:
    """Write the video packets of a file that `change`, given all of them, returns."""
    with av.open(str(source)) as given, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        for packet in change([packet for packet in given.demux(video=0) if packet.size]):
            packet.stream = stream
            container.mux(packet)
    return FileVideo(str(path))


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"crf": "20", "bf": "2", "x264-params": "open-gop=1"}},
        {"codec": "libx265", "options": {**X265, "x265-params": "log-level=none:open-gop=1:bframes=2"}},
    ],
    ids=["h264", "hevc"],
)
def test_copy_is_not_tried_with_a_key_frame_that_needs_others(change: dict[str, Any], tmp_path: Path) -> None:
    """A file that was cut out of a longer one at a key frame in an open group of pictures."""
    whole = shot(tmp_path / "whole.mp4", scene(0), gop=6, frames=2 * FPS, audio=None, **change)

    def cut(packets: list[Any]) -> list[Any]:
        begin = [index for index, packet in enumerate(packets) if packet.is_keyframe][2]
        key = packets[begin]
        return [packet for packet in packets[begin:] if packet.pts >= key.pts]

    film, path = join([remuxed(tmp_path / f"{n}.mp4", file(whole), cut) for n in range(2)], tmp_path)
    assert "does not begin with a key frame that stands alone" in film.reason
    assert len(decoded(path)) == film.total


def test_copy_that_fails_becomes_an_encoding(tmp_path: Path) -> None:
    """Its index says of the first frame that it is shown as soon as it is decoded, and of later ones that they are
    shown before."""

    def wrong(packets: list[Any]) -> list[Any]:
        for number, packet in enumerate(packets[:3]):
            packet.dts = packets[0].pts + number
        return packets

    whole = shot(tmp_path / "whole.mp4", scene(0), options={"crf": "20", "bf": "3"}, audio=None)
    film, path = join([remuxed(tmp_path / f"{n}.mp4", file(whole), wrong) for n in range(2)], tmp_path)
    assert film.reason.startswith("copying the frames failed (")
    assert film.frames == [FPS, FPS]
    assert len(decoded(path)) == 2 * FPS


def failing(error: Exception) -> Any:
    def fail(*_: object) -> Any:
        raise error

    return fail


def test_copy_without_an_encoder_for_the_codec_becomes_an_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy, "_add_stream", failing(av.codec.codec.UnknownCodecError("hevc")))
    film, path = join(three_shots(tmp_path), tmp_path)
    assert film.reason == "copying the frames failed (hevc)"
    assert len(decoded(path)) == film.total


def test_copy_to_a_full_disk_is_not_tried_again_as_an_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = av.FFmpegError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(copy, "_film_packets", failing(full))
    with pytest.raises(MediaError, match="The film cannot be made: No space left on device"):
        join(three_shots(tmp_path), tmp_path)
    assert not (tmp_path / "film.mp4").exists()


def test_copy_names_the_shot_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shots, packets_of_film, begun = three_shots(tmp_path), copy._film_packets, []

    def delete_second(*arguments: Any) -> Any:
        begun.append(arguments)
        if len(begun) == 2:
            file(shots[1]).unlink()
        return packets_of_film(*arguments)

    monkeypatch.setattr(copy, "_film_packets", delete_second)
    with pytest.raises(MediaError, match=r"Shot 2 of 3: shot_1\.mp4 no longer exists"):
        join(shots, tmp_path)
