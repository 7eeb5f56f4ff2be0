"""What is drawn on the generated frames: the word SANDBOX, a time code, the beginning of the prompt."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .frame import Frame, mean_of_squares

_WHITE, _BLACK, _NEUTRAL = 235, 16, 128
Mask = np.ndarray[Any, np.dtype[np.float32]]


class Stamp:
    """White text with a dark edge, as luma and opacity (0..1), both [h, w] with even sides."""

    def __init__(self, text: str, size: int) -> None:
        font = ImageFont.load_default(size)
        edge = max(1, size // 14)
        left, top, right, bottom = font.getbbox(text, stroke_width=edge)
        width, height = math.ceil(right - left + 2) // 2 * 2, math.ceil(bottom - top + 2) // 2 * 2
        ink, whole = Image.new("L", (width, height)), Image.new("L", (width, height))
        ImageDraw.Draw(ink).text((-left, -top), text, font=font, fill=255)
        ImageDraw.Draw(whole).text((-left, -top), text, font=font, fill=255, stroke_width=edge)
        self.width, self.height = width, height
        self._luma = _BLACK + np.asarray(ink, np.float32) * ((_WHITE - _BLACK) / 255)
        self._mask: Mask = np.asarray(whole, np.float32) / np.float32(255)

    def draw(self, frame: Frame, x: float, y: float, opacity: float) -> None:
        """Draw the text with its upper left corner at (x, y), cut off at the right and bottom edge of the frame."""
        left, top = max(0, int(x)) // 2 * 2, max(0, int(y)) // 2 * 2
        width, height = min(self.width, frame.width - left), min(self.height, frame.height - top)
        if width < 2 or height < 2 or opacity <= 0:
            return
        mask = self._mask[:height, :width] * opacity
        _mix(frame.y[top : top + height, left : left + width], self._luma[:height, :width], mask)
        squares = mean_of_squares(mask)
        area = (slice(top // 2, top // 2 + height // 2), slice(left // 2, left // 2 + width // 2))
        _mix(frame.u[area], _NEUTRAL, squares)
        _mix(frame.v[area], _NEUTRAL, squares)


class Overlay:
    """Draws on the frames of one video. The text moves, so that a video of a still image has motion too."""

    def __init__(self, width: int, height: int, *, fps: int, frames: int, prompt: str, watermark: bool) -> None:
        self._fps, self._frames = fps, frames
        self._small = max(12, min(min(width, height) // 24, width // 26))
        self._word = Stamp("SANDBOX", max(16, min(width // 8, height // 5)))
        snippet = _printable(prompt)
        self._prompt = Stamp(snippet, self._small) if snippet else None
        self._mark = Stamp("Wan 2.7 sandbox", max(10, self._small * 3 // 4)) if watermark else None

    def draw(self, frame: Frame, index: int, opacity: float) -> None:
        """Draw everything but the watermark on frame `index` (0-based) of the video."""
        if opacity <= 0:
            return
        seconds = index / self._fps
        swing = 0.5 + 0.5 * math.sin(seconds * 1.2)
        x, y = (frame.width - self._word.width) * swing, frame.height * 0.62
        self._word.draw(frame, x, y, opacity)
        code = Stamp(f"{seconds:06.3f} s   {index + 1}/{self._frames}", self._small)
        code.draw(frame, self._small, self._small, opacity)
        if self._prompt:
            self._prompt.draw(frame, self._small, self._small * 2.5, opacity)

    def draw_mark(self, frame: Frame, opacity: float) -> None:
        """Draw the watermark in its corner."""
        if self._mark:
            right, below = frame.width - self._mark.width, frame.height - self._mark.height
            self._mark.draw(frame, right - self._small // 2, below - self._small // 2, opacity)


def _mix(area: Any, over: Any, mask: Mask) -> None:
    area[:] = area + (over - area.astype(np.float32)) * mask + 0.5


def _printable(text: str, limit: int = 48) -> str:
    """Return what the default font has glyphs for, on one line."""
    line = " ".join("".join(character if " " <= character < "\x7f" else " " for character in text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
