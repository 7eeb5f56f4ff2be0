"""Video frames as the encoder takes them: yuv420p, BT.709, limited range."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ..inspect import open_image

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class Frame:
    """One frame. `data` is uint8 [height*3/2, width]; y, u and v are views of its planes. Sides are multiples of 16."""

    def __init__(self, data: Bytes) -> None:
        self.data = np.ascontiguousarray(data)
        rows, width = self.data.shape
        height = rows * 2 // 3
        quarter = height // 4
        self.width, self.height = width, height
        self.y = self.data[:height]
        self.u = self.data[height : height + quarter].reshape(height // 2, width // 2)
        self.v = self.data[height + quarter :].reshape(height // 2, width // 2)

    def copy(self) -> Frame:
        """Return a copy that can be drawn on."""
        return Frame(self.data.copy())


def load_frame(path: Path, width: int, height: int) -> Frame:
    """Read an image file: apply its rotation, put it on white, scale it to width x height."""
    with open_image(path) as image:
        rgb = _to_rgb(ImageOps.exif_transpose(image))
    return from_rgb(np.asarray(rgb.resize((width, height), Image.Resampling.LANCZOS)))


def from_rgb(rgb: Bytes) -> Frame:
    """Convert uint8 [H, W, 3] with sides that are multiples of 16. Rounds exactly: frame 0 must match its input."""
    height, width, _ = rgb.shape
    frame = Frame(np.empty((height * 3 // 2, width), np.uint8))
    for top in range(0, height, 256):
        rows = rgb[top : top + 256].astype(np.float32)
        frame.y[top : top + 256] = 16.5 + _luma(rows) * (219 / 255)
        squares = mean_of_squares(rows)
        luma = _luma(squares)
        half = slice(top // 2, top // 2 + 128)
        frame.u[half] = 128.5 + (squares[..., 2] - luma) * (224 / 255 / 1.8556)
        frame.v[half] = 128.5 + (squares[..., 0] - luma) * (224 / 255 / 1.5748)
    return frame


def mean_of_squares(values: Any) -> Any:
    """Return the mean of every 2 x 2 pixels: decoders use one chroma sample for the whole square."""
    return (values[0::2, 0::2] + values[1::2, 0::2] + values[0::2, 1::2] + values[1::2, 1::2]) / 4


def zoomed(frame: Frame, factor: float, center: tuple[float, float]) -> Frame:
    """Return a frame enlarged by `factor` (>= 1) around `center` (0..1)."""
    out = Frame(np.empty_like(frame.data))
    for source, target in ((frame.y, out.y), (frame.u, out.u), (frame.v, out.v)):
        height, width = source.shape
        left, top = (width - width / factor) * center[0], (height - height / factor) * center[1]
        box = (left, top, left + width / factor, top + height / factor)
        scaled = Image.fromarray(source).resize((width, height), Image.Resampling.BILINEAR, box=box)
        target[:] = np.asarray(scaled)
    return out


def blended(first: Frame, second: Frame, share: float) -> Frame:
    """Return a new frame that shows `share` (0..1) of the second one over the first one."""
    if share <= 0:
        return first.copy()
    if share >= 1:
        return second.copy()
    mixed = Image.blend(Image.fromarray(first.data), Image.fromarray(second.data), share)
    return Frame(np.array(mixed))


class Zoom:
    """A slow zoom into a frame. Index 0 is the frame itself, untouched.

    Every fourth step is computed and those between are blends: a quarter of the cost, and no visible difference while
    the steps are small.
    """

    _STEP = 4

    def __init__(self, frame: Frame, *, rate: float, center: tuple[float, float]) -> None:
        @lru_cache(maxsize=2)
        def key_frame(index: int) -> Frame:
            return zoomed(frame, 1 + rate * index, center) if index else frame

        self._key_frame = key_frame

    def at(self, index: int) -> Frame:
        """Return a new frame, `index` (>= 0) steps in."""
        low = index // self._STEP * self._STEP
        if index == low:
            return self._key_frame(low).copy()
        return blended(self._key_frame(low), self._key_frame(low + self._STEP), (index - low) / self._STEP)


def _luma(rgb: Any) -> Any:
    return rgb @ np.array([0.2126, 0.7152, 0.0722], np.float32)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion clips everything above 255
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        front = image.convert("RGBA")
        back = Image.new("RGBA", front.size, "white")
        return Image.alpha_composite(back, front).convert("RGB")
    return image.convert("RGB")
