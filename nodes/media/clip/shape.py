"""Conversion of any video frame to the form the encoder takes: yuv420p, bt709, limited range, upright, even sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.limits import ClipBounds, within_aspect
from ..image.pixels import fitted_size, plane_of, sides_inside

if TYPE_CHECKING:
    from av import VideoFrame

_BT709, _BT601 = 1, 5
_LIMITED = 1
_LANCZOS, _ACCURATE_RND = 0x200, 0x40000
"""libswscale's SWS_LANCZOS and SWS_ACCURATE_RND; PyAV has a name for the second only since 18."""
_MATRIX = {1: _BT709, 4: 4, 7: 7, 9: 9, 10: 9}
"""FFmpeg's AVColorSpace to what its scaler knows. Untagged (2) counts as BT.601, as in every decoder that ComfyUI uses,
so the clip shows the colours that the graph shows."""


def target_size(width: int, height: int, bounds: ClipBounds) -> tuple[int, int]:
    """Return the even size for an upright frame: its own, less an odd row or column, or scaled. Raises MediaError."""
    even = width // 2 * 2, height // 2 * 2
    if (
        sides_inside(*even, bounds)
        and within_aspect(*even, bounds.max_aspect)
        and max(width, height) <= bounds.max_side
    ):
        return even
    return fitted_size(width, height, bounds, even=True)


class Shaper:
    """Converter of a sequence of frames, with one swscale thread: the encoder has the other cores.

    The rotation is in degrees counterclockwise, as PyAV gives it.
    """

    def __init__(self, size: tuple[int, int], rotation: int = 0) -> None:
        from av.video.reformatter import VideoReformatter

        self.size = size
        self._rotation = rotation
        self._reformatter = VideoReformatter()
        # PyAV before 17 has no such argument, and uses one thread.
        self._threads = {"threads": 1} if "threads" in (VideoReformatter.reformat.__doc__ or "") else {}

    def crops(self, width: int, height: int) -> bool:
        """Return whether an upright frame of that size loses at most an odd row or column, and is not scaled."""
        return 0 <= width - self.size[0] <= 1 and 0 <= height - self.size[1] <= 1

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        width, height = frame.width, frame.height
        turned = self._rotation % 180 != 0
        if not self.crops(*((height, width) if turned else (width, height))):
            width, height = self.size[::-1] if turned else self.size
        frame = self._reformat(frame, width, height)
        if self._rotation % 360 or (frame.width, frame.height) != self.size:
            frame = self._upright(frame)
        return frame

    def _reformat(self, frame: VideoFrame, width: int, height: int) -> VideoFrame:
        from av.video.reformatter import ColorRange

        rgb = frame.format.is_rgb
        full = rgb or frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        return self._reformatter.reformat(
            frame,
            width,
            height,
            "yuv420p",
            src_colorspace=None if rgb else _MATRIX.get(int(frame.colorspace), _BT601),
            dst_colorspace=_BT709,
            src_color_range=int(ColorRange.JPEG) if full else _LIMITED,
            dst_color_range=_LIMITED,
            interpolation=_LANCZOS | _ACCURATE_RND,
            **self._threads,
        )

    def _upright(self, frame: VideoFrame) -> VideoFrame:
        """Return the frame rotated and cropped to the size, plane by plane."""
        from av import VideoFrame as Frame

        width, height = self.size
        result = Frame(width, height, "yuv420p")
        for index in range(3):
            half = 2 if index else 1
            source = plane_of(frame, index, -(-frame.width // half), -(-frame.height // half))
            turned = np.rot90(source, self._rotation // 90)
            plane_of(result, index, width // half, height // half)[...] = turned[: height // half, : width // half]
        return result
