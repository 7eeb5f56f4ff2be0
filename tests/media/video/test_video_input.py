from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import av
import numpy as np
import pytest

from nodes.media.clip.file_clip import FileClip
from nodes.media.clip.inspect import inspect_file
from nodes.media.decode.decode import decode
from nodes.media.files import MediaError
from tests.media_files import Clip, write

QUIET = {"x265-params": "log-level=none"}
OPEN_GOP = {"x265-params": "log-level=none:open-gop=1:bframes=3:keyint=10:min-keyint=10:scenecut=0"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+delay_moov"}
WHOLE = {
    "h264.mp4": Clip(options={"bf": "3"}),
    "h264.mov": Clip(),
    "h264-fragmented.mp4": Clip(mux=FRAGMENTS),
    "h264-bframes.mkv": Clip(options={"bf": "3"}),
    "h264.ts": Clip(gop=5, options={"bf": "2"}),
    "h264-raw.h264": Clip(audio=None, fps=25),
    "hevc-10bit.mp4": Clip(codec="libx265", pixels="yuv420p10le", options=QUIET),
    "hevc.ts": Clip(codec="libx265", options=OPEN_GOP),
    "vp9.webm": Clip(codec="libvpx-vp9", audio="libopus"),
    "av1.mkv": Clip(codec="libsvtav1"),
    "mpeg4.avi": Clip(codec="mpeg4", audio="pcm_s16le"),
    "mpeg4-bframes.avi": Clip(codec="mpeg4", frames=40, gop=10, options={"bf": "2"}, audio="pcm_s16le"),
    "h264-bframes.avi": Clip(frames=40, gop=10, options={"bf": "2"}, audio="pcm_s16le"),
    "mpeg2.mpg": Clip(codec="mpeg2video", fps=25, options={"bf": "2"}, audio="mp2"),
    "ffv1.mkv": Clip(codec="ffv1", pixels="bgr0", audio="flac"),
    "late.mkv": Clip(delay=0.5),
    "variable-rate.mp4": Clip(times=tuple(np.cumsum([40, 100, 33, 200, 40] * 4).tolist())),
    "variable-rate.mkv": Clip(times=tuple(np.cumsum([40, 100, 33, 200, 40] * 4).tolist())),
}


def joined(path: Path) -> Path:
    return spoiled(path, Clip(frames=30, options={"bf": "2"}), lambda data: data * 2)


def spoiled(path: Path, clip: Clip, change: Callable[[bytearray], bytes]) -> Path:
    path.write_bytes(change(bytearray(write(path, clip).read_bytes())))
    return path


def zeroed(path: Path, clip: Clip, first: int, end: int) -> Path:
    """Return a file with zeros in place of some of its video packets."""
    write(path, clip)
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]

    def change(data: bytearray) -> bytes:
        for place, size in places[first:end]:
            data[place : place + size] = bytes(size)
        return bytes(data)

    path.write_bytes(change(bytearray(path.read_bytes())))
    return path


def without_first_group(path: Path, clip: Clip) -> Path:
    """Return a file that was cut from a longer one at its second key frame."""
    source = write(path.with_name(f"source-{path.name}"), clip)
    options = FRAGMENTS if path.suffix == ".mp4" else {}
    with av.open(str(source)) as given, av.open(str(path), "w", options=options) as made:
        stream, keys = made.add_stream_from_template(given.streams.video[0]), 0
        for packet in given.demux(video=0):
            keys += packet.is_keyframe and packet.dts is not None
            if packet.dts is not None and keys > 1:
                packet.stream = stream
                made.mux(packet)
    return path


OPEN = Clip(codec="libx265", frames=40, gop=10, options=OPEN_GOP, audio=None)
MPEG2 = Clip(codec="mpeg2video", frames=40, gop=10, options={"bf": "2"}, audio=None)
SHORT = Clip(gop=5, frames=40, audio=None)
MADE: dict[str, Callable[[Path], Path]] = {
    "joined.ts": joined,
    "joined-silent.ts": lambda path: spoiled(
        path, Clip(frames=30, audio=None, options={"bf": "2"}), lambda data: data * 2
    ),
    "joined-thrice.ts": lambda path: spoiled(path, Clip(frames=20, gop=5), lambda data: data * 3),
    "cut-open-gop.mkv": lambda path: without_first_group(path, OPEN),
    "cut-open-gop.ts": lambda path: without_first_group(path, OPEN),
    "cut-open-gop.mp4": lambda path: without_first_group(path, OPEN),
    "cut-mpeg2.mkv": lambda path: without_first_group(path, MPEG2),
    "truncated.mkv": lambda path: spoiled(path, SHORT, lambda data: data[: len(data) * 6 // 10]),
    "truncated.ts": lambda path: spoiled(path, SHORT, lambda data: data[: len(data) * 6 // 10]),
    "truncated.webm": lambda path: spoiled(
        path, Clip(codec="libvpx-vp9", frames=40, audio="libopus"), lambda data: data[: len(data) * 6 // 10]
    ),
    "damaged.mp4": lambda path: zeroed(path, SHORT, 17, 18),
    "damaged.mkv": lambda path: zeroed(path, SHORT, 17, 18),
    "damaged-start.mp4": lambda path: zeroed(path, SHORT, 0, 5),
}

DAMAGED_END: dict[str, Callable[[Path], Path]] = {
    "truncated-faststart.mp4": lambda path: spoiled(
        path, Clip(audio=None, mux={"movflags": "faststart"}), lambda data: data[: -len(data) // 3]
    ),
    "damaged-end.mp4": lambda path: zeroed(path, Clip(audio=None, options={"bf": "2"}), 19, 20),
}


@pytest.mark.parametrize("name", [*WHOLE, *MADE])
def test_decode_and_upload_see_the_same_frames(tmp_path: Path, name: str) -> None:
    if name in WHOLE and WHOLE[name].codec not in av.codecs_available:
        pytest.skip(f"this PyAV cannot write {WHOLE[name].codec}")
    path = write(tmp_path / name, WHOLE[name]) if name in WHOLE else MADE[name](tmp_path / name)

    found = decode(path)
    clip = FileClip.of(inspect_file(path, (0.0, 0.0)), "", 1, 10_000)
    given = list(clip.read(None))
    # A frame that is shown for longer than a slot of the constant rate is the same object again.
    shown = [next(same).to_ndarray(format="rgb24") for _, same in groupby(given, id)]

    assert len(given) == clip.frames
    wanted = found.images.numpy()
    if name.startswith("variable"):  # frames that are closer than the rate are left out
        times = [clip.timeline.time(index) for index in range(len(wanted))]
        slots = [round((time - clip.start) * clip.fps) for time in times]
        wanted = wanted[[index for index, slot in enumerate(slots) if slot not in slots[index + 1 :]]]
    assert len(shown) == len(wanted)
    assert np.array_equal(np.stack(shown) / np.float32(255), wanted)


def test_decode_and_upload_of_joined_ts_give_every_frame(tmp_path: Path) -> None:
    path = joined(tmp_path / "joined.ts")

    clip = FileClip.of(inspect_file(path, (0.0, 0.0)), "", 1, 10_000)

    assert decode(path).frame_count == 60
    assert clip.frames == 60
    assert len(list(clip.read(None))) == 60


@pytest.mark.parametrize("name", DAMAGED_END)
def test_upload_refuses_a_damaged_end_of_which_decode_returns_what_is_there(tmp_path: Path, name: str) -> None:
    path = DAMAGED_END[name](tmp_path / name)

    clip = FileClip.of(inspect_file(path, (0.0, 0.0)), "", 1, 10_000)

    assert 0 < decode(path).frame_count < 20
    with pytest.raises(MediaError, match="the clip cannot be decoded"):
        list(clip.read(None))
