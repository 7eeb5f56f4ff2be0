"""8-bit RGB to the bytes of a PNG, JPEG or WebP, by libraries' encoders. None of them writes metadata."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

JPEG_QUALITIES = (95, 93, 91, 89, 87, 85, 82, 79, 76, 73, 70, 65, 60, 55, 50, 45, 40)
"""Best first. Above 95 a JPEG only grows; under 40 a smaller picture looks better."""
WEBP_QUALITIES = (95, 92, 89, 86, 83, 80, 75, 70, 65, 60, 50, 40)
WEBP_MAX_SIDE = 16_383
"""The format's own limit, 14 bits for each side."""

_SIGNATURE_AND_HEADER = 33
_SRGB_CHUNK = b"\x00\x00\x00\x01sRGB\x00\xae\xce\x1c\xe9"
"""Says that the values are sRGB, for perceptual rendering. With its checksum."""


def png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG of [H, W, 3] by FFmpeg's encoder, level 1 with the average filter.

    Measured against Pillow's default: 2 to 7 times faster, at up to 1.1 times its size.
    """
    import av

    height, width, _ = pixels.shape
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "rgb24"
    encoder.time_base = Fraction(1, 1)
    encoder.options = {"compression_level": "1", "pred": "avg"}
    frame = av.VideoFrame(width, height, "rgb24")
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
    rows[:height, : width * 3] = pixels.reshape(height, width * 3)
    frame.pts = 0
    data = b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
    # What FFmpeg puts between header and pixels is a pixel aspect of 0:1, which says nothing.
    return data[:_SIGNATURE_AND_HEADER] + _SRGB_CHUNK + data[data.index(b"IDAT") - 4 :]


def png_smaller(pixels: NDArray[np.uint8]) -> bytes:
    """PNG of [H, W, 3], 5 to 10 percent smaller than `png` and several times slower."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add(b"sRGB", b"\x00")
    return _pillow(pixels, "PNG", compress_level=7, pnginfo=info)


def jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """JPEG of [H, W, 3] without colour subsampling."""
    return _pillow(pixels, "JPEG", quality=quality, subsampling=0)


def webp(pixels: NDArray[np.uint8], quality: int) -> bytes | None:
    """Lossy WebP of [H, W, 3], or None where the encoder gives up: its first partition is limited to 512 KiB, which a
    large detailed picture outgrows at high quality ("encoding error 6")."""
    try:
        return _pillow(pixels, "WEBP", quality=quality, method=2)
    except (OSError, ValueError):
        return None


def _pillow(pixels: NDArray[np.uint8], format: str, **options: object) -> bytes:
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, format, **options)
    return stream.getvalue()
