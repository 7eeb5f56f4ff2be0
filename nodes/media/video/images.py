"""Decoded frames as ComfyUI's images: upright float32 RGB, opaque and SDR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .geometry import orientation_of
from .rgb import Band, RgbReader, StreamColors
from .tone_map import ToneMapper

if TYPE_CHECKING:
    from av import VideoFrame

Pixels = NDArray[np.float32]

_OPAQUE = 254.5 / 255
"""Alpha from which a pixel counts as opaque."""


class Converter:
    """Converts frames of any pixel format and size to upright images of one size, with values in 0..1.

    There is one converter for each thread.

    Args:
        first: all images get its orientation.
        size: width and height of the images before they are turned upright.

    Attributes:
        shape: height, width and 3 channels of an image.
        stored_pixels: of the frame `first`.
        scales: whether a whole image is made in memory before it is written.
        conversion: from what to what the colors are converted, for a message; "" if they are not.
        found_transparency: whether a frame had transparent parts, which are shown on white.
    """

    def __init__(self, first: VideoFrame, size: tuple[int, int], colors: StreamColors) -> None:
        self._orientation = orientation_of(first)
        width, height = self._orientation.size(*size)
        self.shape = height, width, 3
        self.stored_pixels = first.width * first.height
        self.scales = size != (first.width, first.height)
        self.conversion = colors.conversion
        self.found_transparency = False
        self._reader = RgbReader(colors, size)
        self._tone_mapper = ToneMapper(colors) if self.conversion else None

    def write(self, frame: VideoFrame, out: Pixels) -> None:
        """Fill `out`, which has `shape`."""
        stored = self._orientation.stored(out)
        for band in self._reader.bands(frame):
            rows = stored[band.top : band.top + len(band.planes[0])]
            if self._tone_mapper is not None and band.planes[0].dtype == np.float32:
                self._tone_mapper(_normalized(band))
            for channel in range(3):
                _divide(band.planes[channel], band.peaks[channel], rows[..., channel])
            if len(band.planes) == 4:
                self._blend_with_white(rows, band)

    def _blend_with_white(self, rows: Pixels, band: Band) -> None:
        alpha = band.planes[3]
        if alpha.min() >= band.peaks[3] * _OPAQUE:
            return
        self.found_transparency = True
        rows -= 1
        rows *= np.minimum(alpha / np.float32(band.peaks[3]), 1)[..., None]
        rows += 1


def _normalized(band: Band) -> list[Pixels]:
    """Bring the colors of a band to 0..1, in place."""
    for channel in range(3):
        _divide(band.planes[channel], band.peaks[channel], band.planes[channel])
        band.peaks[channel] = 1.0
    return band.planes[:3]


def _divide(plane: NDArray[Any], peak: float, out: Pixels) -> None:
    """Write the values of a plane to `out`, with `peak` and what is above it as 1."""
    if plane.dtype != np.float32:
        np.divide(plane, np.float32(peak), out=out, dtype=np.float32)
        return
    limit = np.float32(peak)
    if plane.max() > limit:
        np.minimum(plane, limit, out=plane)
    # Into every third value, multiplication is much faster than division.
    factor = np.float32(1) / limit
    np.multiply(plane, factor if limit * factor <= 1 else np.nextafter(factor, np.float32(0)), out=out)
