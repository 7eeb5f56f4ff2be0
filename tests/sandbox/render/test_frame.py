from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from nodes.sandbox.render.frame import Frame, Zoom, blended, from_rgb, load_frame, zoomed
from tests.media_files import gradient, image_bytes, photo
from tests.media_reading import psnr


def rgb(frame: Frame) -> np.ndarray:
    """Convert back with FFmpeg, as a decoder does."""
    raw = av.VideoFrame.from_ndarray(frame.data, format="yuv420p")
    return raw.reformat(format="rgb24", src_colorspace="ITU709", dst_colorspace="ITU601").to_ndarray()


@pytest.mark.parametrize("size", [(16, 16), (320, 240), (336, 272), (64, 528)])
@pytest.mark.parametrize("make", [gradient, photo])
def test_from_rgb_is_reversible(make: object, size: tuple[int, int]) -> None:
    image = np.asarray(make(*size))
    frame = from_rgb(image)
    assert (frame.width, frame.height) == size
    assert frame.u.shape == frame.v.shape == (size[1] // 2, size[0] // 2)
    assert psnr(rgb(frame), image) > (36 if size != (16, 16) else 24)


@pytest.mark.parametrize("colour", ["black", "white", "red", "lime", "blue", "grey"])
def test_from_rgb_keeps_pure_colours(colour: str) -> None:
    image = np.asarray(Image.new("RGB", (32, 32), colour))
    assert np.abs(rgb(from_rgb(image)).astype(int) - image).max() <= 3


def test_load_frame_puts_alpha_on_white(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    path.write_bytes(image_bytes(Image.new("RGBA", (240, 240), (0, 0, 0, 0)), "WEBP"))
    assert load_frame(path, 240, 240).y.min() == 235


def test_load_frame_turns_a_rotated_photo_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (480, 240), "white")
    image.paste("black", (0, 0, 240, 240))
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.jpg"
    path.write_bytes(image_bytes(image, "JPEG", exif=exif))
    frame = load_frame(path, 240, 480)
    assert frame.y[:230].max() < 30 < 220 < frame.y[250:].min()


def test_zoom_starts_with_the_frame_itself_and_is_smooth() -> None:
    frame = from_rgb(np.asarray(gradient(320, 240)))
    zoom = Zoom(frame, rate=0.002, center=(0.5, 0.5))
    shots = [zoom.at(index) for index in range(12)]
    assert np.array_equal(shots[0].data, frame.data)
    for index, shot in enumerate(shots[1:], 1):
        exact = zoomed(frame, 1 + 0.002 * index, (0.5, 0.5))
        assert np.abs(shot.y.astype(int) - exact.y).max() <= 2
    backwards = Zoom(frame, rate=0.002, center=(0.5, 0.5))
    assert all(np.array_equal(backwards.at(index).data, shots[index].data) for index in reversed(range(12)))


def test_zoom_and_blended_return_copies() -> None:
    frame = from_rgb(np.asarray(gradient(320, 240)))
    before = frame.data.copy()
    zoom = Zoom(frame, rate=0.002, center=(0.5, 0.5))
    for shot in (zoom.at(0), zoom.at(4), blended(frame, frame, 0), blended(frame, frame, 1)):
        shot.data[:] = 0
    assert np.array_equal(frame.data, before)
    assert zoom.at(4).y.any()


def test_blended_mixes_by_share() -> None:
    dark, light = from_rgb(np.zeros((32, 32, 3), np.uint8)), from_rgb(np.full((32, 32, 3), 255, np.uint8))
    assert [int(blended(dark, light, share).y[0, 0]) for share in (-1, 0, 0.5, 1, 2)] == [16, 16, 125, 235, 235]
