from __future__ import annotations

import hashlib
import random
import threading
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from nodes.core import limits
from nodes.media.clip.encode import encode_clip
from nodes.media.clip.tensor_clip import TensorClip
from nodes.media.files import MediaCancelled, MediaError, MediaFile
from nodes.sandbox.inspect import inspect_media
from tests.media.comfyui_inputs import FileVideo, VideoFromComponents, ramp, tone
from tests.media_files import audio_mp4_bytes, grey, write_clip, write_timed
from tests.media_reading import Reread, reread, sides
from tests.systems import refuse_deletions

BOUNDS = limits.CLIP
BT709 = (1, 1, 1, 1)


@pytest.fixture
def encode(tmp_path: Path):
    def run(video: Any, bounds=BOUNDS, **options) -> MediaFile:
        (tmp_path / "out").mkdir(exist_ok=True)
        return encode_clip(video, bounds, directory=tmp_path / "out", **options)

    return run


def tensors(frames: int, size: tuple[int, int] = (320, 240), fps: Any = 30, audio: Any = None) -> VideoFromComponents:
    return VideoFromComponents(ramp(frames, *size), fps, audio)


def check(file: MediaFile, *, encoded: bool = True) -> Reread:
    """Decode the whole file. The sandbox's own reader has to agree, and each length that a reader may take to fit."""
    facts = inspect_media(file.path, "first_clip_url")
    seen = reread(file.path)
    assert facts.size == file.size
    assert file.seconds is not None
    if encoded:
        assert file.path.parent.name == "out"
        assert file.extension == "mp4"
        assert (seen.codec, seen.pix_fmt, seen.colour) == ("h264", "yuv420p", BT709)
        assert seen.size == sides(file)
        assert len(seen.greys) / seen.fps == pytest.approx(file.seconds, abs=1e-3)
        for seconds in (seen.seconds, seen.video_seconds, facts.seconds):
            assert seconds == pytest.approx(file.seconds, abs=1e-3)
            assert BOUNDS.min_seconds - 1e-3 <= seconds <= BOUNDS.max_seconds + 1e-3
        assert seen.audio_seconds is None or seen.audio_seconds <= file.seconds + 1e-3
        data = file.path.read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")  # the index stands in front
    return seen


# Sent as it is


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("extension", ["mp4", "mov"])
@pytest.mark.parametrize("mode", ["fit", "error"])
def test_encode_clip_sends_a_file_inside_the_limits_byte_for_byte(
    codec: str, extension: str, mode: str, encode, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / f"clip.{extension}", codec=codec, audio=2.0)
    file = encode(FileVideo(str(path)), on_limit=mode)
    assert (file.path, file.extension, file.notes) == (path, extension, ())
    assert file.seconds == pytest.approx(2.0)
    check(file, encoded=False)
    assert list((tmp_path / "out").iterdir()) == []


def test_encode_clip_goes_by_the_container_not_the_name(encode, tmp_path: Path) -> None:
    mov = write_clip(tmp_path / "clip.MP4", format="mov")
    assert encode(FileVideo(str(mov))).extension == "mov"
    mkv = write_clip(tmp_path / "other.mp4", format="matroska")
    assert "Matroska" in encode(FileVideo(str(mkv))).notes[0]


def test_encode_clip_writes_bytes_in_memory_as_they_are(encode, tmp_path: Path) -> None:
    data = write_clip(tmp_path / "clip.mp4", audio=2.0).read_bytes()
    buffer = BytesIO(data)
    buffer.seek(77)
    file = encode(FileVideo(buffer))
    assert file.path.parent == tmp_path / "out"
    assert file.path.read_bytes() == data
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    assert buffer.tell() == 77


# Files that are encoded

ENCODED: dict[str, tuple[dict[str, Any], str, str]] = {
    "matroska": ({}, "mkv", "Matroska"),
    "webm": ({"codec": "libvpx-vp9", "audio_codec": "libopus"}, "webm", "vp9"),
    "prores": ({"codec": "prores_ks", "pix_fmt": "yuv422p10le"}, "mov", "prores"),
    "mpeg4": ({"codec": "mpeg4"}, "mp4", "mpeg4"),
    "lossless RGB": ({"codec": "ffv1", "pix_fmt": "bgr0", "audio_codec": "pcm_s16le"}, "mkv", "ffv1"),
    "odd sides": (
        {"codec": "ffv1", "pix_fmt": "yuv444p", "size": (321, 241), "audio_codec": "pcm_s16le"},
        "avi",
        "AVI",
    ),
    "squeezed": ({"pixel_aspect": Fraction(4, 3)}, "mp4", "not square"),
}


@pytest.mark.parametrize("case", ENCODED)
def test_encode_clip_encodes_other_files(case: str, encode, tmp_path: Path) -> None:
    options, extension, reason = ENCODED[case]
    path = write_clip(tmp_path / f"clip.{extension}", audio=2.0, **options)
    file = encode(FileVideo(str(path)))
    seen = check(file)
    assert reason in " ".join(file.notes)
    assert sides(file) == ((426, 240) if case == "squeezed" else (320, 240))
    assert len(seen.greys) == 60
    assert seen.greys[0] == pytest.approx(grey(0, 60), abs=3)
    assert seen.greys[-1] == pytest.approx(grey(59, 60), abs=3)
    assert seen.audio_seconds == pytest.approx(2.0, abs=0.05)
    with pytest.raises(MediaError, match=reason):
        encode(FileVideo(str(path)), on_limit="error")


@pytest.mark.parametrize(("rotation", "white"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))], ids=str)
def test_encode_clip_applies_rotation(rotation: int, white: tuple[int, int], encode, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "turned.mp4", codec="mpeg4", size=(480, 320), rotation=rotation, corner=True)
    file = encode(FileVideo(str(path)))
    seen = check(file)
    assert sides(file) == ((320, 480) if rotation in (90, 270) else (480, 320))
    corners = {
        (y, x): int(seen.first[20 if y == 0 else -20, 20 if x == 0 else -20, 0]) for y in (0, -1) for x in (0, -1)
    }
    assert corners.pop(white) > 240
    assert max(corners.values()) < 80


def test_encode_clip_judges_a_rotated_file_upright(encode, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "turned.mp4", size=(480, 320), rotation=90)
    file = encode(FileVideo(str(path)))
    assert (file.path, sides(file)) == (path, (320, 480))


def test_encode_clip_keeps_the_times_of_a_variable_frame_rate(encode, tmp_path: Path) -> None:
    """Frames stand for 1 to 4 units. At any time the constant rate shows what stood there."""
    steps = random.Random(1).choices((10, 20, 20, 40), k=119)
    times = [sum(steps[:index]) for index in range(120)]
    file = encode(FileVideo(str(write_clip(tmp_path / "phone.mkv", frames=120, pts=times))))
    seen = check(file)
    assert len(seen.gaps) == 1
    for index, time in enumerate(times):
        slot = round(time / 600 * seen.fps)
        if index + 1 < len(times) and slot < round(times[index + 1] / 600 * seen.fps):
            assert seen.greys[slot] == pytest.approx(grey(index, 120), abs=4)
    assert file.seconds == pytest.approx(times[-1] / 600, abs=0.1)


@pytest.mark.parametrize(("codec", "extension", "pixels"), [("ffv1", "mkv", "yuv420p"), ("mjpeg", "avi", "yuvj420p")])
def test_encode_clip_does_not_keep_key_frames_of_the_source(
    codec: str, extension: str, pixels: str, encode, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / f"clip.{extension}", codec=codec, pix_fmt=pixels)
    with av.open(str(encode(FileVideo(str(path))).path)) as container:
        assert sum(packet.is_keyframe for packet in container.demux(video=0) if packet.size) < 5


def write_audio(path: Path, *parts: tuple[float, Any], layout: str = "stereo", codec: str = "pcm_f32le") -> Path:
    """Write 3 s of frames, and samples [C, T] at the given times."""
    images = [(index / 30, np.full((240, 320, 3), index, np.uint8)) for index in range(90)]
    audio = [(start, samples.astype(np.float32)) for start, samples in parts]
    return write_timed(path, images=images, audio=audio, codec=codec, layout=layout)


def audio_in(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def sine(seconds: float, channels: int = 2, peak: float = 0.5) -> np.ndarray:
    wave = peak * np.sin(2 * np.pi * 440 * np.arange(round(seconds * 48_000)) / 48_000)
    return np.repeat(wave[None], channels, 0)


@pytest.mark.parametrize(("channels", "layout"), [(8, "7.1"), (6, "5.1"), (3, "2.1"), (2, "stereo")])
@pytest.mark.parametrize("peak", [0.8, 3.0])
def test_encode_clip_mixes_audio_of_files_as_that_of_tensors(
    channels: int, layout: str, peak: float, encode, tmp_path: Path
) -> None:
    wave = sine(3, channels, peak)
    path = write_audio(tmp_path / "clip.mkv", (0, wave), layout=layout)
    from_file = audio_in(encode(FileVideo(str(path))).path)
    audio = {"waveform": torch.from_numpy(wave.astype(np.float32))[None], "sample_rate": 48_000}
    from_tensors = audio_in(encode(tensors(90, audio=audio)).path)
    assert np.abs(from_file).max() == pytest.approx(min(peak, 1), abs=0.06)
    assert np.abs(from_file).max() == pytest.approx(np.abs(from_tensors).max(), abs=0.02)
    assert from_file.shape == from_tensors.shape


def test_encode_clip_keeps_late_audio_in_time(encode, tmp_path: Path) -> None:
    click = np.zeros((2, 48_000), np.float32)
    click[:, 24_000:24_100] = 0.9
    found = audio_in(encode(FileVideo(str(write_audio(tmp_path / "clip.mkv", (0.04, click))))).path)
    assert np.abs(found[0]).argmax() / 48_000 == pytest.approx(0.54, abs=0.005)


@pytest.mark.parametrize("hours", [1, 300_000])
def test_encode_clip_drops_only_the_audio_with_a_wrong_time(hours: int, encode, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "clip.nut", (0, sine(1)), (3600 * hours, sine(1)))
    seen = check(encode(FileVideo(str(path))))
    assert seen.audio_seconds == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("layout", ["mono", "5.1"])
def test_encode_clip_takes_audio_that_changes_its_channels(layout: str, encode, tmp_path: Path) -> None:
    data = b""
    for index, channels in enumerate(("stereo", layout)):
        start = 2 * index + 1
        images = [(start + frame / 30, np.full((240, 320, 3), 40 + frame, np.uint8)) for frame in range(60)]
        wave = sine(2, av.AudioLayout(channels).nb_channels).astype(np.float32)
        write_timed(tmp_path / "part.ts", images=images, audio=[(start, wave)], layout=channels, gop=15)
        data += (tmp_path / "part.ts").read_bytes()
    (tmp_path / "clip.ts").write_bytes(data)
    file = encode(FileVideo(str(tmp_path / "clip.ts")))
    check(file)
    found = audio_in(file.path)
    for at in (1.0, 3.0):
        piece = found[:, round(at * 48_000) :][:, :9_600]
        assert np.sqrt(np.mean(np.square(piece), axis=1)) == pytest.approx([0.354, 0.354], abs=0.05)


def test_encode_clip_keeps_late_video_and_audio_together(encode, tmp_path: Path) -> None:
    """The video starts at second 5 and the audio at 0: the first seconds of the audio are dropped."""
    path = write_clip(tmp_path / "late.mkv", frames=90, pts=[3000 + 20 * i for i in range(90)], audio=8.0)
    file = encode(FileVideo(str(path)))
    seen = check(file)
    assert file.seconds == pytest.approx(3.0, abs=1e-3)
    assert len(seen.greys) == 90
    assert seen.audio_seconds == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize(("audio", "kept"), [(None, None), (1.0, 1.0), (3.0, 3.0), (6.0, 3.0)])
def test_encode_clip_takes_shorter_longer_or_no_audio(
    audio: float | None, kept: float | None, encode, tmp_path: Path
) -> None:
    seen = check(encode(FileVideo(str(write_clip(tmp_path / "clip.mkv", frames=90, audio=audio)))))
    assert seen.audio_seconds == (None if kept is None else pytest.approx(kept, abs=0.05))


def test_encode_clip_keeps_the_last_ten_seconds_of_a_long_file(encode, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "long.mp4", frames=300, fps=10, audio=30.0, gop=250)
    file = encode(FileVideo(str(path)))
    seen = check(file)
    assert file.seconds == 10
    assert "30 s" in file.notes[0]
    assert "last 10 s" in file.notes[1]
    assert seen.greys[0] == pytest.approx(grey(200, 300), abs=3)
    assert seen.greys[-1] == pytest.approx(grey(299, 300), abs=3)
    assert seen.audio_seconds == pytest.approx(10, abs=0.05)


@pytest.mark.parametrize("source", ["tensors", "mp4", "mkv"])
def test_encode_clip_repeats_the_frames_of_slides(source: str, encode, tmp_path: Path) -> None:
    """Each of four frames is shown for 7 s: of the last ten seconds, three show the third and seven the fourth."""
    fps = Fraction(1, 7)
    video: Any = tensors(4, fps=fps)
    if source != "tensors":
        video = FileVideo(str(write_clip(tmp_path / f"slides.{source}", frames=4, fps=fps)))
    file = encode(video)
    seen = check(file)
    shown = [grey(index, 4) if source != "tensors" else 85 * index for index in (2, 3)]
    assert file.seconds == 10
    assert (len(seen.greys), seen.fps) == (100, 10)
    assert seen.greys == pytest.approx([shown[0]] * 30 + [shown[1]] * 70, abs=4)
    assert any("0.14286 frames per second become 10" in note for note in file.notes)
    with pytest.raises(MediaError, match=r"lasts 28(\.\d+)? s, the limit is 10 s"):
        encode(video, on_limit="error")


@pytest.mark.parametrize("source", ["tensors", "mkv"])
def test_encode_clip_leaves_out_frames_above_120_fps_and_says_so(source: str, encode, tmp_path: Path) -> None:
    video: Any = tensors(600, fps=240)
    if source == "mkv":
        video = FileVideo(str(write_clip(tmp_path / "slow-motion.mkv", frames=600, fps=240)))
    file = encode(video)
    seen = check(file)
    # The last frame is among them: the video continues from it.
    assert (len(seen.greys), seen.fps) == (301 if source == "mkv" else 300, 120)
    first, last = (grey(0, 600), grey(599, 600)) if source == "mkv" else (0, 255)
    assert (seen.greys[0], seen.greys[-1]) == pytest.approx((first, last), abs=4)
    assert any("240 frames per second become 120" in note for note in file.notes)


def test_encode_clip_sends_slow_motion_inside_the_limits_as_it_is(encode, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "slow-motion.mp4", frames=600, fps=240)
    assert encode(FileVideo(str(path))).path == path


@pytest.mark.parametrize(
    ("window", "first", "last"), [((1.0, 2.5), 30, 104), ((1.0, 0.0), 30, 149), ((0.0, 3.0), 0, 89)]
)
def test_encode_clip_takes_a_video_trimmed_in_the_graph(
    window: tuple[float, float], first: int, last: int, encode, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=150, audio=5.0)
    file = encode(FileVideo(str(path), window))
    seen = check(file)
    assert len(seen.greys) == last - first + 1
    assert seen.greys[0] == pytest.approx(grey(first, 150), abs=3)
    assert seen.greys[-1] == pytest.approx(grey(last, 150), abs=3)
    with pytest.raises(MediaError, match="part of its file"):
        encode(FileVideo(str(path), window), on_limit="error")


def test_encode_clip_refuses_a_trim_after_the_end(encode, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    with pytest.raises(MediaError, match="start at 7 s, after its end at 2"):
        encode(FileVideo(str(path), (7.0, 1.0)))


class Sliced:
    """ComfyUI's VideoFromFile in the versions that can trim, but keep the window in private attributes."""

    def __init__(self, file: str | BytesIO, start: float = 0, duration: float = 0, crop: Any = None) -> None:
        self._VideoFromFile__start_time, self._VideoFromFile__duration = start, duration
        self._VideoFromFile__crop = crop
        self._file = file

    def get_stream_source(self) -> str | BytesIO:
        return self._file

    def get_components(self) -> Any:
        return tensors(60, (250, 240)).get_components()


@pytest.mark.parametrize(
    ("window", "first", "last"),
    [((1.0, 2.5), 30, 104), ((-3.0, 0.0), 60, 149), ((-4.0, 2.0), 30, 89), ((-9.0, 3.0), 0, 89), ((0, 3), 0, 89)],
    ids=str,
)
@pytest.mark.parametrize("in_memory", [False, True])
def test_encode_clip_takes_a_slice_that_the_core_keeps_private(
    window: tuple[float, float], first: int, last: int, in_memory: bool, encode, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=150, audio=5.0)
    seen = check(encode(Sliced(BytesIO(path.read_bytes()) if in_memory else str(path), *window)))
    assert len(seen.greys) == last - first + 1
    assert seen.greys[0] == pytest.approx(grey(first, 150), abs=3)
    assert seen.greys[-1] == pytest.approx(grey(last, 150), abs=3)


def test_encode_clip_refuses_a_slice_from_the_end_of_an_unknown_length(encode, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.h264", format="h264")
    with pytest.raises(MediaError, match="does not say how long it is"):
        encode(Sliced(str(path), -1.0))


def test_encode_clip_takes_a_crop_that_the_core_keeps_private(encode, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    assert encode(Sliced(str(path))).path == path
    file = encode(Sliced(str(path), crop=(0, 0, 250, 240)))
    check(file)
    assert (file.path.parent, sides(file)) == (tmp_path / "out", (250, 240))


# Bad files


@pytest.mark.parametrize("kind", ["junk", "empty", "missing", "cut off", "audio only", "no frames"])
def test_encode_clip_refuses_files_that_are_not_videos(kind: str, encode, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    words = "cannot be opened as a video"
    if kind in ("junk", "empty"):
        path.write_bytes(b"no video" * (kind == "junk"))
    elif kind == "missing":
        words = "no longer exists"
    elif kind == "cut off":
        words = "is cut off"
        path.write_bytes(write_clip(path).read_bytes()[:2000])
    elif kind == "audio only":
        words = "clip.mp4 has no video stream"
        path.write_bytes(audio_mp4_bytes(2))
    else:
        words = "no frame"
        data = bytearray(write_clip(path, gop=250).read_bytes())
        start = data.index(b"mdat") + 4
        data[start : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - start)
        path.write_bytes(data)
    with pytest.raises(MediaError, match=words) as raised:
        encode(FileVideo(str(path)))
    assert str(tmp_path) not in str(raised.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_encode_clip_names_flv_in_the_refusal(encode, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.flv")
    with pytest.raises(MediaError, match=r"FLV .* not read: save them as mp4"):
        encode(FileVideo(str(path)))


def test_encode_clip_keeps_what_can_be_read_of_a_damaged_file(encode, tmp_path: Path) -> None:
    data = bytearray(write_clip(tmp_path / "whole.mkv", frames=120, audio=4.0).read_bytes())
    for at in range(len(data) // 2, len(data) // 2 + 600, 7):
        data[at] ^= 0x5A
    path = tmp_path / "damaged.mkv"
    path.write_bytes(data)
    seen = check(encode(FileVideo(str(path))))
    assert len(seen.greys) == 120
    assert seen.greys[-1] == pytest.approx(grey(119, 120), abs=3)


def damaged(path: Path, start: int, end: int) -> Path:
    """Overwrite the video packets of that range, so that no decoder takes them."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for at, size in packets[start:end]:
        data[at + 4 : at + size] = b"\xff" * (size - 4)
    path.write_bytes(data)
    return path


def test_encode_clip_refuses_a_damaged_end(encode, tmp_path: Path) -> None:
    """The generated video continues from there, and must not continue from a frozen frame."""
    path = damaged(write_clip(tmp_path / "clip.mkv", frames=150, audio=5.0), 60, 150)
    with pytest.raises(MediaError, match=r"last 3 s of the clip cannot be decoded: .* from 2 s on.*Trim it"):
        encode(FileVideo(str(path)))
    with pytest.raises(MediaError, match=r"last 1 s of the clip"):
        encode(FileVideo(str(damaged(write_clip(tmp_path / "part.mkv", frames=150), 60, 105)), (0.5, 2.5)))
    assert list((tmp_path / "out").iterdir()) == []
    file = encode(FileVideo(str(path), (0.0, 2.0)))
    assert len(check(file).greys) == 60
    assert "damaged" not in " ".join(file.notes)


def test_damage_before_the_end_is_told(encode, tmp_path: Path) -> None:
    path = damaged(write_clip(tmp_path / "clip.mkv", frames=150), 60, 90)
    file = encode(FileVideo(str(path)))
    assert check(file).greys[-1] == pytest.approx(grey(149, 150), abs=3)
    assert "30 pieces of its frames could not be decoded" in file.notes[-1]


@pytest.mark.parametrize("gop", [30, 90, 250])
def test_encode_clip_finds_the_key_frame_of_mpeg_ts(gop: int, encode, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.ts", frames=360, gop=gop, audio=12.0)
    seen = check(encode(FileVideo(str(path))))
    assert seen.greys == pytest.approx([grey(index, 360) for index in range(60, 360)], abs=4)
    assert seen.audio_seconds == pytest.approx(10, abs=0.05)


@pytest.mark.parametrize(("format", "codec"), [("h264", "libx264"), ("hevc", "libx265"), ("mjpeg", "mjpeg")])
def test_encode_clip_takes_raw_streams_without_times(format: str, codec: str, encode, tmp_path: Path) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_clip(tmp_path / f"clip.{format}", format=format, codec=codec, frames=300, fps=25, pix_fmt=pixels)
    seen = check(encode(FileVideo(str(path))))
    assert seen.greys == pytest.approx([grey(index, 300) for index in range(50, 300)], abs=4)


def test_a_file_that_cannot_be_sought_in_is_read_from_its_start(
    encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodes.media.video.video_input._seek", lambda *_: False)
    seen = check(encode(FileVideo(str(write_clip(tmp_path / "clip.mkv", frames=360, audio=12.0)))))
    assert seen.greys == pytest.approx([grey(index, 360) for index in range(60, 360)], abs=4)
    assert seen.audio_seconds == pytest.approx(10, abs=0.05)


# Tensors


def test_encode_clip_encodes_tensors_without_the_core_encoder(encode) -> None:
    file = encode(tensors(72, fps=24, audio=tone(3)), on_limit="error")
    seen = check(file)
    assert (file.seconds, seen.fps, file.notes) == (3.0, 24, ())
    assert (seen.channels, seen.audio_rate) == (2, 48_000)
    assert seen.audio_seconds == pytest.approx(3, abs=0.03)
    expected = np.floor(np.linspace(0, 1, 72) * 255 + 0.5)
    assert np.abs(np.array(seen.greys) - expected).max() < 4


def test_encode_clip_is_close_to_lossless(encode) -> None:
    y, x = torch.meshgrid(torch.arange(360.0), torch.arange(640.0), indexing="ij")
    waves = torch.stack([torch.sin(x / 19 + y / 47), torch.cos(x / 31 - y / 23), torch.sin((x + y) / 41)], -1)
    images = torch.stack([(waves.roll(3 * index, 1) * 0.4 + 0.5) for index in range(48)])
    file = encode(VideoFromComponents(images, 24))
    with av.open(str(file.path)) as container:
        # PyAV before 17 reads every video as BT.601 unless it is told both sides, and they differ.
        rgb = {"format": "rgb24", "src_colorspace": "ITU709", "dst_colorspace": "ITU601"}
        frames = np.stack([frame.to_ndarray(**rgb) for frame in container.decode(video=0)])
    error = frames.astype(np.float32) / 255 - images.numpy()
    assert 10 * np.log10(1 / np.mean(np.square(error))) > 36


@pytest.mark.parametrize("fps", [8, 12.5, 23.976, Fraction(30000, 1001), 60, 16.666666])
def test_encode_clip_takes_any_frame_rate(fps: Any, encode) -> None:
    frames = round(3 * fps)
    file = encode(tensors(frames, fps=fps, audio=tone(3, rate=44_100)))
    seen = check(file)
    assert len(seen.greys) == frames
    assert float(seen.fps) == pytest.approx(float(fps), rel=1e-4)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_encode_clip_takes_audio_of_tensors(rate: int, channels: int, encode) -> None:
    seen = check(encode(tensors(60, audio=tone(5, rate=rate, channels=channels))))
    assert seen.channels == min(channels, 2)
    assert seen.audio_seconds == pytest.approx(2, abs=0.03)


def test_encode_clip_takes_transparent_and_grey_tensors(encode) -> None:
    clear = torch.zeros(60, 240, 320, 4)
    assert check(encode(VideoFromComponents(clear))).greys[0] == pytest.approx(255, abs=2)
    grey_frames = torch.full((60, 240, 320, 1), 0.5)
    assert check(encode(VideoFromComponents(grey_frames))).greys[0] == pytest.approx(128, abs=2)


@pytest.mark.parametrize(
    ("images", "fps", "words"),
    [
        (torch.zeros(0, 240, 320, 3), 30, "no frames"),
        (torch.zeros(60, 0, 320, 3), 30, "no frames"),
        (torch.zeros(240, 320, 3), 30, "no frames of the shape"),
        (torch.zeros(60, 240, 320, 2), 30, "240×320×2"),
        (torch.zeros(60, 240, 320, 3), 0, "frame rate is 0"),
    ],
)
def test_encode_clip_refuses_tensors_that_are_not_videos(images: torch.Tensor, fps: int, words: str, encode) -> None:
    with pytest.raises(MediaError, match=words):
        encode(VideoFromComponents(images, fps))


def test_encode_clip_refuses_nan_with_the_number_of_the_frame(encode, tmp_path: Path) -> None:
    images = ramp(60, 320, 240).clone()
    images[41, 5, 5, 1] = float("nan")
    with pytest.raises(MediaError, match=r"Frame 42 .*NaN"):
        encode(VideoFromComponents(images))
    assert list((tmp_path / "out").iterdir()) == []


# Limits: at, below and above every edge


@pytest.mark.parametrize(
    ("frames", "fps", "kept"),
    [
        (59, 30, None),
        (60, 30, 60),
        (300, 30, 300),
        (301, 30, 300),
        (47, 24, None),
        (48, 24, 48),
        (240, 24, 240),
        (241, 24, 240),
        (59, Fraction(30000, 1001), None),
        (60, Fraction(30000, 1001), 60),
        (299, Fraction(30000, 1001), 299),
        (300, Fraction(30000, 1001), 299),
    ],
)
@pytest.mark.parametrize("source", ["tensors", "mkv", "mp4"])
def test_encode_clip_keeps_lengths_inside_the_limits(
    frames: int, fps: Any, kept: int | None, source: str, encode, tmp_path: Path
) -> None:
    video: Any = tensors(frames, fps=fps)
    if source != "tensors":
        video = FileVideo(str(write_clip(tmp_path / f"clip.{source}", frames=frames, fps=fps)))
    if kept is None:
        for mode in ("fit", "error"):
            with pytest.raises(MediaError, match=r"lasts 1\.9\d+ s; at least 2 s"):
                encode(video, on_limit=mode)
        return
    file = encode(video)
    seen = check(file, encoded=source != "mp4" or frames != kept)
    assert len(seen.greys) == kept
    if kept != frames:
        assert any("last" in note for note in file.notes)
        with pytest.raises(MediaError, match=r"lasts 10\.0\d+ s, the limit is 10 s"):
            encode(video, on_limit="error")
        expected = grey(frames - 1, frames) if source != "tensors" else 255
        assert seen.greys[-1] == pytest.approx(expected, abs=3)
    elif source != "mkv":
        assert encode(video, on_limit="error").notes == ()


SIDES = [
    ((240, 240), (240, 240)),
    ((238, 240), (240, 242)),
    ((239, 240), (240, 242)),
    ((240, 239), (242, 240)),
    ((241, 241), (240, 240)),
    ((321, 243), (320, 242)),
    ((1920, 240), (1920, 240)),
    ((1928, 241), (1928, 242)),
    ((4096, 512), (4096, 512)),
    ((4098, 514), (4096, 514)),
    ((4097, 513), (4096, 512)),
    ((514, 4098), (514, 4096)),
    ((5000, 700), (4096, 574)),
    ((100, 100), (240, 240)),
    ((1922, 240), None),
    ((240, 1922), None),
    ((2000, 100), None),
]


@pytest.mark.parametrize(("size", "fitted"), SIDES)
def test_encode_clip_fits_sides_or_refuses_them(size: tuple[int, int], fitted: tuple[int, int] | None, encode) -> None:
    video = VideoFromComponents(torch.full((1, 1, 1, 3), 0.5).expand(2, size[1], size[0], 3), 1)
    if fitted is None:
        for mode in ("fit", "error"):
            with pytest.raises(MediaError, match=rf"{size[0]}×{size[1]} px.*8:1"):
                encode(video, on_limit=mode)
        return
    file = encode(video)
    seen = check(file)
    assert sides(file) == fitted
    assert seen.greys[0] == pytest.approx(128, abs=2)
    assert bool(file.notes) == (size != fitted)
    if all(BOUNDS.min_side <= side <= BOUNDS.max_side for side in size):
        encode(video, on_limit="error")
    else:
        with pytest.raises(MediaError, match=rf"{size[0]}×{size[1]} px.*240 to 4096"):
            encode(video, on_limit="error")


def test_encode_clip_says_that_the_size_of_the_frames_changes(encode, tmp_path: Path) -> None:
    path = tmp_path / "joined.ts"
    parts = [write_clip(tmp_path / f"{width}.ts", size=(width, 240)) for width in (320, 480)]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))

    assert "Its frames change their size; all are scaled to 320×240 px." in encode(FileVideo(str(path))).notes


def test_encode_clip_scales_a_large_file(encode, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "large.mp4", size=(4100, 600), fps=2, frames=4)
    file = encode(FileVideo(str(path)))
    check(file)
    assert sides(file) == (4096, 600)


def noisy(frames: int = 60) -> VideoFromComponents:
    generator = torch.Generator().manual_seed(1)
    return VideoFromComponents(torch.rand(frames, 240, 320, 3, generator=generator), 30)


def test_encode_clip_lowers_the_quality_until_the_file_fits(encode) -> None:
    whole = encode(noisy())
    assert whole.notes == ()
    for share in (1.0, 0.6, 0.2, 0.1):
        bounds = replace(BOUNDS, max_bytes=int(whole.size * share))
        file = encode(noisy(), bounds)
        assert bounds.max_bytes * 0.4 < file.size <= bounds.max_bytes
        assert ("crf" in " ".join(file.notes)) == (share < 1)
        check(file)


def test_encode_clip_lowers_the_quality_if_the_larger_file_cannot_be_deleted(
    encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = encode(noisy()).size * 2 // 3
    refuse_deletions(monkeypatch)
    assert encode(noisy(), replace(BOUNDS, max_bytes=most)).size <= most


def test_tensor_clip_hash_is_the_same_after_an_abandoned_attempt() -> None:
    """An attempt that gets too large is abandoned, and the frames are read again from the first on."""
    audio = tone(2, rate=8_000)
    whole, interrupted = TensorClip(tensors(20, audio=audio)), TensorClip(tensors(20, audio=audio))
    expected = list(whole.read((48_000, 2)))
    attempt = interrupted.read((48_000, 2))
    for _ in range(11):
        next(attempt)
    attempt.close()
    assert interrupted.content == ""
    again = list(interrupted.read((48_000, 2)))
    assert len(again) == len(expected) == 40
    assert all(np.array_equal(a, b) for a, b in zip(again[1::2], expected[1::2], strict=True))
    assert interrupted.content == whole.content != ""


def test_encode_clip_encodes_a_file_that_is_too_large(encode, tmp_path: Path) -> None:
    path = encode(noisy()).path
    size = path.stat().st_size
    assert encode(FileVideo(str(path)), replace(BOUNDS, max_bytes=size)).path == path
    smaller = replace(BOUNDS, max_bytes=size - 1)
    file = encode(FileVideo(str(path)), smaller)
    assert file.size < size
    assert "MB" in file.notes[0]
    with pytest.raises(MediaError, match="it takes"):
        encode(FileVideo(str(path)), smaller, on_limit="error")


def test_encode_clip_refuses_what_cannot_fit(encode, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"does not fit into 0\.0 MB at 320×240 px"):
        encode(noisy(), replace(BOUNDS, max_bytes=20_000))
    assert list((tmp_path / "out").iterdir()) == []


def test_encode_clip_sends_100_mb_and_encodes_a_byte_more(encode, tmp_path: Path) -> None:
    """A file of exactly 100 MB is sent as it is, and one byte more is not."""
    data = write_clip(tmp_path / "clip.mp4").read_bytes()
    padding = 100_000_000 - len(data)
    path = tmp_path / "large.mp4"
    path.write_bytes(data + padding.to_bytes(4, "big") + b"free" + bytes(padding - 8))
    file = encode(FileVideo(str(path)))
    assert (file.size, file.path) == (100_000_000, path)
    padding += 1
    path.write_bytes(data + padding.to_bytes(4, "big") + b"free" + bytes(padding - 8))
    with pytest.raises(MediaError, match=r"100\.0 MB"):
        encode(FileVideo(str(path)), on_limit="error")
    assert encode(FileVideo(str(path))).size < 1_000_000


# While it runs


@pytest.mark.parametrize("source", ["tensors", "file"])
def test_encode_clip_reports_progress_and_can_be_interrupted(
    source: str, encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video: Any = tensors(90)
    if source == "file":
        video = FileVideo(str(write_clip(tmp_path / "clip.mkv", frames=90)))
    seen: list[tuple[int, int]] = []
    encode(video, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(index + 1, 90) for index in range(90)]
    seen.clear()
    threads = threading.active_count()
    before = set((tmp_path / "out").iterdir())
    with pytest.raises(MediaCancelled):
        encode(video, on_progress=lambda done, total: seen.append((done, total)), cancelled=lambda: len(seen) >= 5)
    assert len(seen) == 5
    assert threading.active_count() == threads
    assert set((tmp_path / "out").iterdir()) == before
    refuse_deletions(monkeypatch)
    with pytest.raises(MediaCancelled):
        encode(video, on_progress=lambda done, total: seen.append((done, total)), cancelled=lambda: len(seen) >= 10)
