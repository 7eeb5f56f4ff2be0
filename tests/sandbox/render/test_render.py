from __future__ import annotations

import struct
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from nodes.sandbox.render.render import Job, RenderCancelledError, output_size, render
from tests.media_files import clip_bytes, gradient, image_bytes, photo, sweep, wav_bytes
from tests.media_reading import audio_of, frames_of, psnr, scaled

SMALL = Job(width=320, height=240, fps=10, duration=2, seed=7, prompt="a cat")


@pytest.mark.parametrize(
    ("source", "resolution", "expected"),
    [
        ((750, 1000), "720P", (816, 1104)),  # the published pair
        ((1280, 720), "720P", (1280, 720)),
        ((720, 1280), "720P", (720, 1280)),
        ((1000, 1000), "720P", (960, 960)),
        ((240, 240), "720P", (960, 960)),
        ((8000, 1000), "720P", (2704, 336)),
        ((1000, 8000), "720P", (336, 2704)),
        ((1920, 1080), "1080P", (1920, 1072)),
        ((750, 1000), "1080P", (1232, 1648)),
        ((8000, 1000), "1080P", (4064, 496)),
        ((1001, 8000), "1080P", (496, 4064)),
    ],
)
def test_output_size_follows_the_input(source: tuple[int, int], resolution: str, expected: tuple[int, int]) -> None:
    assert output_size(*source, resolution) == expected


@pytest.mark.parametrize("resolution", ["720P", "1080P"])
@pytest.mark.parametrize("width", range(240, 8001, 333))
def test_output_size_is_on_the_grid_and_near_the_area_of_the_tier(width: int, resolution: str) -> None:
    area = {"720P": 921_600, "1080P": 2_073_600}[resolution]
    for height in range(max(240, -(-width // 8)), min(8000, width * 8) + 1, 487):
        out_width, out_height = output_size(width, height, resolution)
        assert out_width % 16 == out_height % 16 == 0
        assert 0.93 * area < out_width * out_height <= area
        assert abs(out_width / out_height / (width / height) - 1) < 0.05


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "video.mp4"


def saved(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def first_frame(folder: Path, **changes: object) -> Job:
    return replace(SMALL, image=saved(folder, "first.png", image_bytes(gradient(320, 240))), **changes)


def test_render_writes_the_format_of_the_service(tmp_path: Path, target: Path) -> None:
    render(first_frame(tmp_path, fps=30, width=336, height=256), target)
    with av.open(str(target)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        context = video.codec_context
        assert (video.codec.name, context.pix_fmt, context.width, context.height) == ("h264", "yuv420p", 336, 256)
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        assert (video.average_rate, video.frames, video.start_time) == (30, 60, 0)
        assert video.duration * video.time_base == 2
        assert (audio.codec.name, audio.rate, audio.channels) == ("aac", 48000, 2)
        assert [float(frame.pts * frame.time_base) for frame in container.decode(video)] == pytest.approx(
            [index / 30 for index in range(60)]
        )
    data = target.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    header = data.index(b"mvhd") + 4
    assert struct.unpack(">II", data[header + 4 : header + 12]) == (0, 0), "creation and modification time"


@pytest.mark.parametrize(
    ("first", "last", "resolution"),
    [
        (photo(750, 1000), photo(750, 1000, seed=1), "720P"),
        (gradient(640, 360), photo(640, 360, seed=2), "720P"),
        (photo(1920, 1080), gradient(1920, 1080), "1080P"),
        (photo(2000, 250), gradient(2000, 250), "720P"),
    ],
    ids=["portrait photo", "gradient", "1080P photo", "8:1 photo"],
)
def test_render_starts_and_ends_on_its_images(
    tmp_path: Path, target: Path, first: Image.Image, last: Image.Image, resolution: str
) -> None:
    width, height = output_size(*first.size, resolution)
    job = Job(
        width=width,
        height=height,
        fps=4,
        duration=2,
        seed=1,
        prompt="a photo",
        watermark=True,
        image=saved(tmp_path, "first.png", image_bytes(first)),
        last_image=saved(tmp_path, "last.png", image_bytes(last)),
    )
    render(job, target)
    frames = frames_of(target)
    assert len(frames) == 8
    assert psnr(frames[0], scaled(first, frames[0])) >= 34
    assert psnr(frames[-1], scaled(last, frames[-1])) >= 34


def test_render_moves_and_shows_the_word_sandbox(tmp_path: Path, target: Path) -> None:
    render(first_frame(tmp_path), target)
    frames = frames_of(target)
    assert min(np.abs(a.astype(int) - b).mean() for a, b in pairwise(frames)) > 0.05
    # white letters on black edges; the gradient has neither
    middle = frames[10].reshape(-1, 3)
    assert (middle.min(axis=1) > 220).mean() > 0.01
    assert (middle.max(axis=1) < 30).mean() > 0.01


def test_render_draws_the_watermark_in_its_corner(tmp_path: Path, target: Path) -> None:
    job = first_frame(tmp_path)
    shots = []
    for watermark in (False, True):
        render(replace(job, watermark=watermark), target)
        shots.append(frames_of(target)[10].astype(int))
    differs = np.abs(shots[0] - shots[1]).max(axis=2) > 60
    assert differs[200:, 160:].any()
    assert not differs[:200].any()


@pytest.mark.parametrize("change", [{}, {"watermark": True}, {"fps": 5}])
def test_render_same_job_same_bytes(tmp_path: Path, change: dict[str, object]) -> None:
    job = first_frame(tmp_path, **change)
    files = [tmp_path / f"{number}.mp4" for number in range(3)]
    for path in files:
        render(job, path)
    assert len({path.read_bytes() for path in files}) == 1


def test_render_another_seed_another_video(tmp_path: Path, target: Path) -> None:
    job = first_frame(tmp_path)
    render(job, target)
    before = target.read_bytes()
    render(replace(job, seed=8), target)
    assert target.read_bytes() != before


def shades(count: int, width: int = 320, height: int = 240) -> list[Image.Image]:
    return [Image.new("RGB", (width, height), (40 + index * 160 // count, 90, 120)) for index in range(count)]


@pytest.mark.parametrize("clip_fps", [10, 20, 5])
def test_render_continues_the_clip(tmp_path: Path, target: Path, clip_fps: int) -> None:
    images = shades(2 * clip_fps)
    clip = saved(tmp_path, "clip.mp4", clip_bytes(2, fps=clip_fps, images=images))
    last = image_bytes(Image.new("RGB", (320, 240), "navy"))
    job = replace(
        SMALL, duration=4, clip=clip, clip_seconds=2.0, last_image=saved(tmp_path, "last.png", last), watermark=False
    )
    render(job, target)
    frames = frames_of(target)
    assert len(frames) == 40
    for index in range(20):
        assert psnr(frames[index], scaled(images[index * clip_fps // 10], frames[index])) > 34, index
    # new frames continue from the end of the clip and do not repeat its last frame with text on it
    assert psnr(frames[20], scaled(images[-1], frames[20])) > 30
    assert psnr(frames[-1], scaled(Image.new("RGB", (1, 1), "navy"), frames[-1])) > 34


def test_render_keeps_the_audio_of_the_clip(tmp_path: Path, target: Path) -> None:
    clip = saved(tmp_path, "clip.mp4", clip_bytes(2, with_audio=True))
    render(replace(SMALL, duration=3, clip=clip, clip_seconds=2.0), target)
    samples, rate = audio_of(target)
    assert rate == 48000
    assert likeness(samples[0, : 2 * rate], sweep(1, rate, 2)[0]) > 0.99
    assert samples[0, round(2.5 * rate) : 3 * rate].std() > 0.005


def test_render_shows_a_rotated_clip_upright(tmp_path: Path, target: Path) -> None:
    left_dark = Image.new("RGB", (320, 240), "white")
    left_dark.paste("black", (0, 0, 160, 240))
    data = clip_bytes(2, images=[left_dark] * 20)
    plain, turned = (struct.pack(">9i", *row) for row in (MATRIX, MATRIX_CLOCKWISE))
    at = data.index(plain, data.index(b"tkhd"))
    clip = saved(tmp_path, "clip.mp4", data[:at] + turned + data[at + len(plain) :])
    render(replace(SMALL, width=240, height=320, duration=3, clip=clip, clip_seconds=2.0), target)
    frame = frames_of(target)[5]
    # after a clockwise rotation, the left half is at the top
    assert frame[:150].mean() < 20
    assert frame[170:].mean() > 235


ONE = 0x10000
MATRIX = (ONE, 0, 0, 0, ONE, 0, 0, 0, 0x40000000)
MATRIX_CLOCKWISE = (0, ONE, 0, -ONE, 0, 0, 0, 0, 0x40000000)


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation of two waveforms as they are: 1 only if they are aligned to the sample."""
    length = min(len(first), len(second))
    return float(np.corrcoef(first[:length], second[:length])[0, 1])


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_render_carries_the_driving_audio_from_its_first_sample(
    tmp_path: Path, target: Path, rate: int, channels: int
) -> None:
    audio = saved(tmp_path, "a.wav", wav_bytes(3, rate=rate, channels=channels))
    render(first_frame(tmp_path, audio=audio), target)
    samples, out_rate = audio_of(target)
    assert out_rate == (44100 if rate == 44100 else 48000)
    assert samples.shape[0] == 2
    expected = sweep(1, out_rate, 2)[0]
    for channel in samples:
        assert likeness(channel, expected) > 0.99
        assert channel[: len(expected)].std() == pytest.approx(expected.std(), rel=0.05)


def test_render_fills_short_audio_with_silence(tmp_path: Path, target: Path) -> None:
    audio = saved(tmp_path, "a.wav", wav_bytes(2))
    render(first_frame(tmp_path, duration=3, audio=audio), target)
    samples, rate = audio_of(target)
    assert likeness(samples[0, : 2 * rate], sweep(1, rate, 2)[0]) > 0.99
    rest = samples[0, round(2.1 * rate) : 3 * rate]
    assert rest.size == pytest.approx(0.9 * rate, abs=2)
    assert np.abs(rest).max() < 1e-3


def test_render_without_audio_has_a_soft_tone_of_full_length(tmp_path: Path, target: Path) -> None:
    render(first_frame(tmp_path), target)
    samples, rate = audio_of(target)
    assert 2 * rate <= samples.shape[1] < 2 * rate + 2048
    assert 0.005 < samples[:, rate : 2 * rate].std() < 0.2


@pytest.mark.parametrize(
    "data",
    [
        image_bytes(Image.new("L", (320, 240), 128)),
        image_bytes(Image.new("P", (320, 240), 0)),
        image_bytes(Image.fromarray(np.full((240, 320), 128 * 257, np.uint16))),
        image_bytes(Image.new("CMYK", (320, 240), (0, 0, 0, 127)), "JPEG"),
        image_bytes(Image.new("RGBA", (320, 240), (128, 128, 128, 255)), "WEBP"),
        image_bytes(Image.new("RGB", (320, 240), (128, 128, 128)), "BMP"),
    ],
    ids=["grey", "palette", "16 bits", "CMYK", "WEBP with alpha", "BMP"],
)
def test_render_reads_every_kind_of_image(tmp_path: Path, target: Path, data: bytes) -> None:
    with Image.open(BytesIO(data)) as image:
        grey = 0 if image.mode == "P" else 128
    render(replace(SMALL, fps=2, image=saved(tmp_path, "image", data)), target)
    assert frames_of(target)[0].mean() == pytest.approx(grey, abs=3)


def test_render_stops_when_cancelled(tmp_path: Path, target: Path) -> None:
    with pytest.raises(RenderCancelledError):
        render(first_frame(tmp_path), target, cancelled=lambda: True)
