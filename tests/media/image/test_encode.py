from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nodes.core import limits
from nodes.media.files import MediaCancelled, MediaError, MediaFile
from nodes.media.image.encode import encode_image
from nodes.sandbox.inspect import inspect_media
from tests.media_reading import sides

BOUNDS = limits.IMAGE


@pytest.fixture
def encode(tmp_path: Path):
    def run(image: torch.Tensor, bounds=BOUNDS, **options) -> MediaFile:
        return encode_image(image, bounds, directory=tmp_path, **options)

    return run


def noise(height: int, width: int, channels: int = 3, seed: int = 1) -> torch.Tensor:
    return torch.rand(height, width, channels, generator=torch.Generator().manual_seed(seed))


def flat(height: int, width: int, channels: int = 3) -> torch.Tensor:
    return torch.full((1, 1, channels), 0.5).expand(height, width, channels)


def read(file: MediaFile) -> np.ndarray:
    """Return the pixels. The sandbox's own reader has to agree with what the file is said to be."""
    facts = inspect_media(file.path, "image_url")
    assert facts.size == file.size
    assert not facts.transparent
    with Image.open(file.path) as opened:
        assert opened.mode == "RGB"
        assert not {"exif", "parameters", "prompt", "workflow", "comment", "XML:com.adobe.xmp"} & set(opened.info)
        return np.asarray(opened)


def assert_rounded(pixels: np.ndarray, image: torch.Tensor) -> None:
    """Check that every value is at most half a step of 8 bits away."""
    steps = np.clip(image.detach().double().numpy(), 0, 1) * 255
    assert np.abs(pixels - steps).max() <= 0.5 + 1e-4


# Input


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_encode_image_rounds_every_float_dtype_to_the_nearest_step(dtype: torch.dtype, encode) -> None:
    image = noise(240, 250).to(dtype)
    assert_rounded(read(encode(image)), image)


def test_encode_image_keeps_8_bit_and_bool_values(encode) -> None:
    steps = (noise(240, 240) * 255).to(torch.uint8)
    assert np.array_equal(read(encode(steps)), steps.numpy())
    mask = noise(240, 240, 1) > 0.5
    assert np.array_equal(read(encode(mask))[..., 0], mask[..., 0].numpy() * np.uint8(255))


def test_encode_image_makes_rgb_of_grey(encode) -> None:
    image = noise(240, 300, 1)
    assert_rounded(read(encode(image)), image.expand(-1, -1, 3))


@pytest.mark.parametrize(
    "view",
    [
        lambda image: image.transpose(0, 1),
        lambda image: image.flip(0),
        lambda image: image[::2, ::2],
        lambda image: image.permute(2, 0, 1).contiguous().permute(1, 2, 0),
        lambda image: image[..., :1].expand(-1, -1, 3),
        lambda image: image.requires_grad_(),
    ],
)
def test_encode_image_takes_any_strides(view, encode) -> None:
    image = view(noise(500, 520))
    assert_rounded(read(encode(image)), image)


def test_encode_image_clamps_values_outside(encode) -> None:
    image = noise(240, 240) * 3 - 1
    image[0, 0] = torch.tensor([float("inf"), -float("inf"), 2.0])
    assert_rounded(read(encode(image)), image)


@pytest.mark.parametrize("place", [(0, 0, 0), (239, 239, 2), (120, 7, 1)])
def test_encode_image_refuses_nan_with_the_number_of_the_image(
    place: tuple[int, int, int], encode, tmp_path: Path
) -> None:
    image = noise(240, 240)
    image[place] = float("nan")
    with pytest.raises(MediaError, match=r"Image 3 .*NaN"):
        encode(image, index=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.rand(240, 240, 2), "240×240×2"),
        (torch.rand(240, 240, 5), "240×240×5"),
        (torch.rand(0, 240, 3), "0×240×3"),
        (torch.rand(240, 240), "shape 240×240; height × width × channels"),
        (torch.rand(1, 240, 240, 3), "shape 1×240×240×3; height × width × channels"),
        (torch.zeros(240, 240, 3, dtype=torch.int64), "int64"),
        (torch.zeros(240, 240, 3, dtype=torch.complex64), "complex"),
    ],
)
def test_encode_image_refuses_other_shapes_and_dtypes(image: torch.Tensor, words: str, encode) -> None:
    with pytest.raises(MediaError, match=words):
        encode(image)


def test_encode_image_flattens_transparency_on_white(encode) -> None:
    image = noise(240, 240, 4)
    file = encode(image)
    rgb, alpha = image[..., :3].numpy(), image[..., 3:].numpy()
    assert np.abs(read(file).astype(int) - np.floor((rgb * alpha + 1 - alpha) * 255 + 0.5)).max() <= 1
    assert any("transparency" in note for note in file.notes)
    with pytest.raises(MediaError, match="transparent"):
        encode(image, on_limit="error")


def test_encode_image_drops_an_opaque_alpha_channel_silently(encode) -> None:
    image = noise(240, 240, 4)
    image[..., 3] = 1
    file = encode(image, on_limit="error")
    assert_rounded(read(file), image[..., :3])
    assert file.notes == ()


# Sides and aspect: at, below and above every edge

SIDES = [
    # width, height, result of fit (None: an error in both modes)
    (240, 240, (240, 240)),
    (8000, 1000, (8000, 1000)),
    (1000, 8000, (1000, 8000)),
    (240, 1920, (240, 1920)),
    (239, 239, (240, 240)),
    (239, 400, (240, 402)),
    (400, 239, (402, 240)),
    (8001, 1100, (8000, 1100)),
    (1100, 8001, (1100, 8000)),
    (8001, 1001, (8000, 1001)),
    (16000, 2000, (8000, 1000)),
    (100, 800, (240, 1920)),
    (1, 1, (240, 240)),
    (1921, 240, None),
    (240, 1921, None),
    (100, 2000, None),
    (9, 1, None),
]


@pytest.mark.parametrize(("width", "height", "fitted"), SIDES)
def test_encode_image_fits_sides_or_refuses_them(
    width: int, height: int, fitted: tuple[int, int] | None, encode
) -> None:
    image = flat(height, width)
    if fitted is None:
        for mode in ("fit", "error"):
            with pytest.raises(MediaError, match=rf"{width}×{height} px.*8:1"):
                encode(image, on_limit=mode)
        return
    file = encode(image)
    assert sides(file) == fitted
    assert np.abs(read(file).astype(int) - 128).max() <= 1
    assert bool(file.notes) == ((width, height) != fitted)
    if file.notes:
        assert f"{width}×{height}" in file.notes[0]
        with pytest.raises(MediaError, match=rf"Image 1 is {width}×{height} px.*240 to 8000"):
            encode(image, on_limit="error")
    else:
        assert encode(image, on_limit="error").sha256 == file.sha256


def test_encode_image_takes_the_largest_image(encode) -> None:
    file = encode(flat(8000, 8000), format="jpeg")
    assert sides(file) == (8000, 8000)
    read(file)


def test_encode_image_scales_without_moving_anything(encode) -> None:
    y, x = torch.meshgrid(torch.linspace(0, 1, 100), torch.linspace(0, 1, 100), indexing="ij")
    image = torch.stack([x, y, torch.zeros_like(x)], -1)
    scaled = read(encode(image)).astype(float) / 255
    assert scaled.shape == (240, 240, 3)
    assert abs(scaled[120, 60, 0] - 0.25) < 0.01
    assert abs(scaled[60, 120, 1] - 0.25) < 0.01
    assert scaled[..., 2].max() == 0


# The size of the file


@pytest.mark.parametrize(("room", "extension"), [(0, "png"), (-1, None)])
def test_encode_image_auto_keeps_png_while_it_fits_to_the_byte(room: int, extension: str | None, encode) -> None:
    image = noise(400, 400)
    size = encode(image).size
    smallest = replace(BOUNDS, max_bytes=size + room)
    file = encode(image, smallest)
    assert file.size <= size + room
    read(file)
    if extension:
        assert file.extension == extension
        assert file.notes == ()
    else:
        assert file.extension in ("png", "jpg")  # the slower PNG may just fit
        assert file.extension == "png" or "JPEG" in file.notes[0]


@pytest.mark.parametrize(
    ("format", "share"),
    [(kind, share) for kind in ("auto", "png", "jpeg", "webp") for share in (0.9, 0.3, 0.05)]
    + [("auto", 0.01), ("jpeg", 0.01), ("webp", 0.01)],
)
def test_encode_image_gets_every_format_under_the_size(format: str, share: float, encode) -> None:
    image = noise(1200, 1600)
    bounds = replace(BOUNDS, max_bytes=int(5_000_000 * share))
    file = encode(image, bounds, format=format)
    assert file.size <= bounds.max_bytes
    assert file.size > bounds.max_bytes * 0.3 or format == "webp"  # not smaller than it has to be
    assert {"png": ["png"], "jpeg": ["jpg"], "webp": ["webp"]}.get(format, [file.extension]) == [file.extension]
    read(file)
    assert file.notes or format == "webp"


@pytest.mark.parametrize("format", ["auto", "png", "jpeg", "webp"])
def test_encode_image_refuses_what_cannot_fit(format: str, encode, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"the limit is 0\.0 MB"):
        encode(noise(240, 240), replace(BOUNDS, max_bytes=100), format=format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_encode_image_error_mode_does_not_lower_the_quality(format: str, encode) -> None:
    with pytest.raises(MediaError, match=rf"as {format} at 800×800 px; the limit is 0.1 MB"):
        encode(noise(800, 800), replace(BOUNDS, max_bytes=100_000), format=format, on_limit="error")


def test_encode_image_auto_makes_a_good_jpeg_of_detail_beyond_20_mb(encode) -> None:
    """36 Mpx that no lossless format brings under the real limit."""
    y, x = np.mgrid[0:4500, 0:8000].astype(np.float32)
    detail = np.random.default_rng(0).normal(0, 0.03, (4500, 8000)).astype(np.float32)
    grey = torch.from_numpy(0.5 + 0.3 * np.sin(x / 37) * np.cos(y / 91) + detail).unsqueeze(-1)
    file = encode(grey)
    assert (file.extension, sides(file)) == ("jpg", (8000, 4500))
    assert 10_000_000 < file.size <= 20_000_000
    assert "JPEG" in file.notes[0]
    assert "20.0 MB" in file.notes[0]
    error = read(file)[..., 0].astype(np.float32) / 255 - grey[..., 0].numpy()
    assert 10 * np.log10(1 / np.mean(np.square(error))) > 30


def test_encode_image_webp_fits_though_the_encoder_gives_up(encode, monkeypatch: pytest.MonkeyPatch) -> None:
    """As libwebp does with 36 Mpx of detail ("encoding error 6"), here from a tenth of it on."""
    from nodes.media.image import encode as encode_module
    from nodes.media.image import formats

    def limited(pixels: np.ndarray, quality: int) -> bytes | None:
        return formats.webp(pixels, quality) if pixels.size * quality < 3 * 400 * 400 * 80 else None

    monkeypatch.setattr(encode_module, "webp", limited)
    file = encode(noise(1000, 1200), format="webp")
    assert file.extension == "webp"
    read(file)
    with pytest.raises(MediaError, match="as webp at 1200×1000"):
        encode(noise(1000, 1200), format="webp", on_limit="error")


def test_encode_image_webp_has_a_side_limit_of_its_own(encode) -> None:
    wide = replace(BOUNDS, max_side=20_000, max_aspect=100)
    with pytest.raises(MediaError, match=r"17000×240.*16383"):
        encode(flat(240, 17_000), wide, format="webp")
    with Image.open(encode(flat(240, 17_000), wide).path) as opened:
        assert opened.size == (17_000, 240)


# The file


def test_encode_image_png_is_srgb_and_has_no_other_chunks(encode) -> None:
    data = encode(noise(300, 240), format="png").path.read_bytes()
    chunks, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append(data[at + 4 : at + 8])
        at += 12 + length
    assert set(chunks) == {b"IHDR", b"sRGB", b"IDAT", b"IEND"}
    assert chunks[:2] == [b"IHDR", b"sRGB"]


def test_encode_image_jpeg_is_not_subsampled(encode) -> None:
    with Image.open(encode(noise(240, 240), format="jpeg").path) as opened:
        assert {layer[1:3] for layer in opened.layer} == {(1, 1)}
        assert "icc_profile" not in opened.info


def test_encode_image_is_deterministic(encode) -> None:
    assert encode(noise(300, 300)).sha256 == encode(noise(300, 300)).sha256


def test_encode_image_interrupted_in_the_last_encoder_leaves_nothing(
    encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressed = []
    monkeypatch.setattr("nodes.media.image.encode.png", lambda pixels: pressed.append(True) or b"a png")
    with pytest.raises(MediaCancelled):
        encode(noise(240, 240), cancelled=lambda: bool(pressed))
    assert list(tmp_path.iterdir()) == []


def test_encode_image_interrupted_leaves_nothing(encode, tmp_path: Path) -> None:
    with pytest.raises(MediaCancelled):
        encode(noise(240, 240), cancelled=lambda: True)
    assert list(tmp_path.iterdir()) == []
