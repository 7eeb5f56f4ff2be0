"""Decoded frames as images: layout, colors, transparency and HDR, from real files through Decode and Upload."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from nodes.core.limits import CLIP
from nodes.media.clip.encode import encode_clip
from nodes.media.decode.decode import DecodeOptions, decode
from nodes.media.video.images import Converter
from nodes.media.video.rgb import StreamColors, filter_graph
from tests.media.comfyui_inputs import FileVideo
from tests.media_files import Clip, Pixels, lay_out, write
from tests.media_reading import frames_of, psnr, reference, same_frames

CORNERS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
PYAV = int(av.__version__.split(".")[0])


def corners(clip: Clip, _index: int) -> Pixels:
    """Draw red and green above blue and white."""
    width, height = clip.size
    return np.kron(CORNERS, np.ones((height // 2, width // 2, 1), np.uint8))


def smooth(clip: Clip, index: int) -> Pixels:
    y, x = np.mgrid[0 : clip.size[1], 0 : clip.size[0]]
    waves = [np.sin(x / 31 + index / 9) * np.cos(y / 23), np.sin((x + y) / 37), np.cos(x / 29 - y / 19 + index / 7)]
    return (127.5 + 115 * np.stack(waves, -1)).astype(np.uint8)


def corners_of(image: np.ndarray) -> np.ndarray:
    height, width, _ = image.shape
    rows, columns = (height // 4, height * 3 // 4), (width // 4, width * 3 // 4)
    return np.array([[image[row, column] for column in columns] for row in rows])


@pytest.mark.parametrize(
    "matrix",
    [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1), (0, 1, 1, 0), (0, 1, -1, 0), (0, -1, 1, 0),
     (0, -1, -1, 0)],
)  # fmt: skip
def test_every_display_matrix_is_applied_by_decode_and_upload(
    tmp_path: Path, matrix: tuple[int, int, int, int]
) -> None:
    clip = Clip(size=(320, 256), frames=20, fps=8, draw=corners, options={"crf": "4"}, audio=None)
    path = lay_out(write(tmp_path / "a.mp4", clip), *matrix)
    a, b, c, d = matrix
    expected = np.zeros_like(CORNERS)
    for y in (0, 1):
        for x in (0, 1):
            right, low = a * (2 * x - 1) + c * (2 * y - 1), b * (2 * x - 1) + d * (2 * y - 1)
            expected[(low + 1) // 2, (right + 1) // 2] = CORNERS[y, x]

    found = decode(path, DecodeOptions(max_frames=1))
    encoded = encode_clip(FileVideo(str(path), (0.25, 2.0)), CLIP, directory=tmp_path)

    assert np.abs(corners_of(found.images[0].numpy() * 255) - expected).max() < 4
    assert np.abs(corners_of(found.last_frame[0].numpy() * 255) - expected).max() < 4
    assert np.abs(corners_of(frames_of(encoded.path)[0].astype(float)) - expected).max() < 8


@pytest.mark.skipif(PYAV < 17, reason="PyAV before 17 does not tell where the file samples chroma")
@pytest.mark.parametrize(("number", "siting"), [(0, (0, 0.5)), (1, (0.5, 0.5)), (2, (0, 0)), (5, (0.5, 1))])
def test_chroma_is_interpolated_from_where_the_file_samples_it(
    tmp_path: Path, number: int, siting: tuple[float, float]
) -> None:
    options = {"crf": "4", "x264-params": f"chromaloc={number}"}
    path = write(tmp_path / "a.mp4", Clip(frames=2, size=(192, 128), draw=smooth, options=options, audio=None))

    assert same_frames(decode(path).images.numpy(), reference(path, siting))


@pytest.mark.parametrize(("codec", "name"), [("libvpx-vp9", "a.webm"), ("libsvtav1", "a.mp4"), ("libx264", "a.mp4")])
def test_chroma_is_on_the_left_if_nothing_is_declared(tmp_path: Path, codec: str, name: str) -> None:
    path = write(tmp_path / name, Clip(codec, frames=2, size=(192, 128), draw=smooth, audio=None))

    assert same_frames(decode(path).images.numpy(), reference(path))


@pytest.mark.parametrize("height", [1922, 1080, 722])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p10le", "yuv444p"])
def test_bands_of_a_frame_do_not_show(tmp_path: Path, height: int, pixels: str) -> None:
    clip = Clip(pixels=pixels, size=(1280, height), frames=1, draw=smooth, audio=None, options={"preset": "ultrafast"})
    path = write(tmp_path / "a.mp4", clip)

    assert same_frames(decode(path).images.numpy(), reference(path))


def test_ten_bits_reach_the_images(tmp_path: Path) -> None:
    clip = Clip(pixels="yuv420p10le", size=(320, 240), frames=2, draw=smooth, audio=None, options={"crf": "6"})

    images = decode(write(tmp_path / "a.mp4", clip)).images.numpy()

    assert len(np.unique(images[..., 1])) > 10_000
    assert images.max() <= 1


def test_white_is_one_and_black_is_zero(tmp_path: Path) -> None:
    for colour in (0, 255):
        clip = Clip(colour=(colour,) * 3, frames=2, audio=None)
        images = decode(write(tmp_path / f"{colour}.mp4", clip)).images.numpy()
        assert np.abs(images - colour / 255).max() < 1e-4


def write_transparent(path: Path) -> Path:
    """Write red whose right half is transparent."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("qtrle", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 256, "argb"
        pixels = np.zeros((256, 320, 4), np.uint8)
        pixels[..., 0] = pixels[:, :160, 1] = 255  # alpha, red …
        pixels[:, 160:, 0] = 0
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(pixels, format="argb")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_transparent_parts_are_white_and_it_is_said(tmp_path: Path) -> None:
    path = write_transparent(tmp_path / "a.mov")

    found = decode(path)
    encoded = encode_clip(FileVideo(str(path)), CLIP, directory=tmp_path)

    assert np.array_equal(found.images[0, 100, 20], [1, 0, 0])
    assert np.array_equal(found.images[0, 100, 300], [1, 1, 1])
    assert found.warnings == ("a.mov: transparent parts are shown on white.",)
    sent = frames_of(encoded.path)[0].astype(int)
    assert np.abs(sent[100, 20] - (255, 0, 0)).max() < 8
    assert np.abs(sent[100, 300] - (255, 255, 255)).max() < 8
    assert any("transparent" in note for note in encoded.notes)


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_transparent_parts_of_webm_are_white_and_it_is_said(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "a.webm"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"auto-alt-ref": "0", "deadline": "realtime"})
        stream.width, stream.height, stream.pix_fmt = 320, 256, "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        pixels = np.full((256, 320, 4), (0, 0, 255, 255), np.uint8)
        pixels[:, 160:, 3] = 0
        for _ in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format="yuva420p")))
        container.mux(stream.encode())

    found = decode(path)
    encoded = encode_clip(FileVideo(str(path)), CLIP, directory=tmp_path)

    assert len(found.images) == 20
    assert np.abs(found.images[-1, 100, 20].numpy() - (0, 0, 1)).max() < 0.03
    assert np.abs(found.images[-1, 100, 300].numpy() - 1).max() < 0.03
    assert found.warnings == ("a.webm: transparent parts are shown on white.",)
    assert any("transparent" in note for note in encoded.notes)


@pytest.mark.parametrize(
    ("primaries", "name", "stored", "shown"),
    [
        (9, "BT.2020", (60, 69, 92), (50, 70, 94)),
        (12, "Display P3", (180, 120, 145), (190, 116, 146)),
    ],
)
def test_wide_colors_become_those_of_bt709_and_it_is_said(
    tmp_path: Path, primaries: int, name: str, stored: tuple[int, int, int], shown: tuple[int, int, int]
) -> None:
    colours = {"colorspace": 1, "color_range": 1, "color_primaries": primaries, "color_trc": 1}
    path = write(tmp_path / "a.mkv", Clip(size=(320, 256), colour=stored, colours=colours, options={"crf": "4"}))

    found = decode(path)
    encoded = encode_clip(FileVideo(str(path)), CLIP, directory=tmp_path)

    assert found.warnings == (f"a.mkv: its colors were converted from {name} to BT.709.",)
    assert np.abs(found.images[0, 9, 9].numpy() * 255 - shown).max() < 2
    assert f"Clip converted from {name} to BT.709." in encoded.notes
    assert np.abs(frames_of(encoded.path)[0][9, 9].astype(int) - shown).max() < 5


@pytest.mark.parametrize("interlaced", [False, True])
def test_bands_of_interlaced_frames_do_not_show(interlaced: bool) -> None:
    noise = np.random.default_rng(1).integers(16, 236, (576 * 3 // 2, 720), np.uint8)
    frame = av.VideoFrame.from_ndarray(noise, format="yuv420p")
    if interlaced:
        frame = interlaced_copy(frame)
    assert frame.interlaced_frame == interlaced
    images = [np.empty((576, 720, 3), np.float32) for _ in range(2)]
    for image, pixels in zip(images, (1 << 14, 1 << 30), strict=True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("nodes.media.video.rgb._BAND_PIXELS", pixels)
            Converter(frame, (720, 576), StreamColors()).write(frame, image)

    assert np.array_equal(*images)


def interlaced_copy(frame: av.VideoFrame) -> av.VideoFrame:
    """Return the frame, marked as two fields, the top one first."""
    graph = filter_graph(frame, [("setfield", "tff")])
    graph.push(frame)
    return graph.pull()


@pytest.mark.parametrize(("curve", "name"), [(18, "HLG"), (16, "PQ")])
def test_hdr_becomes_sdr_and_it_is_said(tmp_path: Path, curve: int, name: str) -> None:
    colours = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": curve}
    white = round(255 * (0.75 if name == "HLG" else 0.58))  # diffuse white, 203 nits
    seen = []
    for grey in (0, 60, white, 255):
        clip = Clip(
            "libx265", "yuv420p10le", (320, 256), colour=(grey,) * 3, colours=colours, audio=None, frames=3,
            options={"x265-params": "log-level=none", "crf": "6"},
        )  # fmt: skip
        found = decode(write(tmp_path / f"{grey}.mp4", clip))
        assert found.warnings == (f"{grey}.mp4: its colors were converted from {name} (HDR) to SDR.",)
        assert float(np.ptp(found.images.numpy()[0, 0, 0])) < 0.01, "grey stays grey"
        seen.append(float(found.images.mean()))

    assert seen[0] < 0.01
    assert seen[0] < seen[1] < seen[2] < seen[3]
    assert 0.8 < seen[2] < 0.95, "diffuse white is bright, and leaves room for highlights"
    assert seen[3] > 0.98


def test_non_square_pixels_become_square_in_both_directions(tmp_path: Path) -> None:
    clip = Clip(size=(352, 288), frames=20, pixel_aspect=Fraction(12, 11), draw=corners, audio=None)
    path = write(tmp_path / "a.mp4", clip)

    found = decode(path)
    encoded = encode_clip(FileVideo(str(path)), CLIP, directory=tmp_path)

    assert found.images.shape[1:3] == (288, 384)
    assert frames_of(encoded.path)[0].shape[:2] == (288, 384)


def test_upload_filters_chroma_where_h264_samples_it(tmp_path: Path) -> None:
    clip = Clip("ffv1", "bgr0", (320, 240), 20, draw=smooth, audio=None)
    path = write(tmp_path / "a.mkv", clip)

    encoded = encode_clip(FileVideo(str(path)), CLIP, directory=tmp_path)

    original = np.stack([smooth(clip, index) for index in range(20)]) / 255
    assert psnr(reference(encoded.path), original) > 43
