"""PNG, JPEG and WebP encoders for 8-bit RGB, by Pillow and FFmpeg. None of them writes metadata."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from .pixels import plane_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

JPEG_QUALITIES = (95, 93, 91, 89, 87, 85, 82, 79, 76, 73, 70, 65, 60, 55, 50, 45, 40)
"""Best first. Above 95 a JPEG only grows; under 40 a smaller image looks better."""
WEBP_QUALITIES = (95, 92, 89, 86, 83, 80, 75, 70, 65, 60, 50, 40)
WEBP_MAX_SIDE = 16_383
"""The format's own limit, 14 bits for each side."""

_SIGNATURE_AND_HEADER = 33
_SRGB_CHUNK = b"\x00\x00\x00\x01sRGB\x00\xae\xce\x1c\xe9"
"""Says that the values are sRGB, for perceptual rendering; with its checksum."""
_ABOUT_AS_SMALL = 1.09
_BANDS = 2
_SMALL = 1 << 20
"""Bytes of pixels below which any encoder is quick."""


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode [H, W, 3] as PNG with the quickest of three encoders whose file is about as small as the smallest.

    Which one that is depends on the image: noise, fine detail and smooth areas each have their own. The encoders are
    tried on four percent of the rows. Measured against Pillow's default on detailed images: 1.8 to 6 times its speed at
    0.97 to 1.06 of its size. Bare gradients come out half as large again, but they are small anyway.
    """
    sample = _sample(pixels)
    if sample is None:
        return _PNG_ENCODERS[-1](pixels)
    sizes = [len(encode(sample)) for encode in _PNG_ENCODERS]
    chosen = next(index for index, size in enumerate(sizes) if size <= min(sizes) * _ABOUT_AS_SMALL)
    return _PNG_ENCODERS[chosen](pixels)


def _sample(pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return bands of rows from all over the image, or None if it is too small to be worth trying."""
    height = pixels.shape[0]
    rows = height // (25 * _BANDS)
    if pixels.size < _SMALL or rows == 0:
        return None
    tops = [(2 * band + 1) * height // (2 * _BANDS) for band in range(_BANDS)]
    return np.concatenate([pixels[top : top + rows] for top in tops])


def _ffmpeg_png(pixels: NDArray[np.uint8], level: int, filter: str) -> bytes:
    import av

    height, width, _ = pixels.shape
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "rgb24"
    encoder.time_base = Fraction(1, 1)
    encoder.options = {"compression_level": str(level), "pred": filter}
    frame = av.VideoFrame(width, height, "rgb24")
    plane_of(frame, 0, width, height, 3)[...] = pixels
    frame.pts = 0
    data = b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
    # FFmpeg puts a pixel aspect of 0:1 between header and pixels, which says nothing.
    return data[:_SIGNATURE_AND_HEADER] + _SRGB_CHUNK + data[data.index(b"IDAT") - 4 :]


def _pillow_png(pixels: NDArray[np.uint8], **options: int) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add(b"sRGB", b"\x00")
    return _pillow(pixels, "PNG", pnginfo=info, **options)


_RUN_LENGTHS = 3
"""zlib's Z_RLE."""
_PNG_ENCODERS: tuple[Callable[[NDArray[np.uint8]], bytes], ...] = (
    partial(_ffmpeg_png, level=1, filter="avg"),  # noise
    partial(_pillow_png, compress_type=_RUN_LENGTHS),  # fine detail
    partial(_ffmpeg_png, level=5, filter="mixed"),  # smooth
)
"""Quickest first."""


def png_smaller(pixels: NDArray[np.uint8]) -> bytes:
    """Encode [H, W, 3] as PNG, 5 to 10 percent smaller than `png` and several times slower."""
    return _pillow_png(pixels, compress_level=7)


def jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """Encode [H, W, 3] as JPEG without colour subsampling."""
    return _pillow(pixels, "JPEG", quality=quality, subsampling=0)


def webp(pixels: NDArray[np.uint8], quality: int) -> bytes | None:
    """Encode [H, W, 3] as lossy WebP. Return None if the encoder gives up.

    Its first partition is limited to 512 KiB, which large detailed images exceed at high quality ("encoding error 6").
    """
    try:
        return _pillow(pixels, "WEBP", quality=quality, method=2)
    except (OSError, ValueError):
        return None


def _pillow(pixels: NDArray[np.uint8], format: str, **options: object) -> bytes:
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, format, **options)
    return stream.getvalue()
