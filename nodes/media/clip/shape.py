"""Conversion of any video frame to the form the encoder takes: yuv420p, bt709, limited range, upright, even sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.limits import ClipBounds, within_aspect
from ..image.pixels import fitted_size, plane_of, sides_inside, to_rgb8
from ..video.geometry import UPRIGHT, Orientation, orientation_of
from ..video.images import Converter
from ..video.rgb import StreamColors, filter_graph, has_alpha

if TYPE_CHECKING:
    from av import VideoFrame

_BT709, _LIMITED = 1, (0, 1)
"""FFmpeg's AVCOL_SPC_BT709, and what AVColorRange has for limited range, which is also the default."""
_SCALE = "flags=lanczos+accurate_rnd+full_chroma_inp+full_chroma_int:out_color_matrix=bt709:out_range=tv"
"""Chroma is computed for every pixel and then filtered, as seen from where H.264 samples it: on the left."""


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
    """Converter of a sequence of frames.

    YUV in BT.709 is only scaled. Everything else becomes the image that Decode Video makes of it first.

    Attributes:
        found_transparency: whether a frame had transparent parts, which are shown on white.
        resized: whether the size of the frames changed. All are scaled to the same one.
    """

    def __init__(self, size: tuple[int, int], colors: StreamColors) -> None:
        self.size = size
        self._colors = colors
        self._converter: Converter | None = None
        self._orientation: Orientation | None = None
        self._graph: Any = None
        self._layout: tuple[Any, ...] = ()
        self._stored: tuple[int, int] | None = None
        self.resized = False

    @property
    def found_transparency(self) -> bool:
        return self._converter is not None and self._converter.found_transparency

    def crops(self, width: int, height: int) -> bool:
        """Return whether an upright frame of that size loses at most an odd row or column, and is not scaled."""
        return 0 <= width - self.size[0] <= 1 and 0 <= height - self.size[1] <= 1

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        stored = frame.width, frame.height
        self.resized |= stored != (self._stored or stored)
        self._stored = stored
        if not (frame.format.name == "rgb24" or self._is_plain(frame)):
            frame = self._image(frame)
        layout = frame.format.name, frame.width, frame.height
        if layout != self._layout:
            self._layout, self._graph = layout, self._make_graph(frame)
        self._graph.push(frame)
        shaped: VideoFrame = self._graph.pull()
        return shaped

    def _is_plain(self, frame: VideoFrame) -> bool:
        plain = not (frame.format.is_rgb or has_alpha(frame) or self._colors.conversion)
        limited = frame.color_range in _LIMITED and not frame.format.name.startswith("yuvj")
        return plain and limited and frame.colorspace == _BT709 and self._orientation_of(frame) == UPRIGHT

    def _orientation_of(self, frame: VideoFrame) -> Orientation:
        """Return the orientation of the first frame.

        Others are not asked: PyAV's frame and its side data refer to each other, and would wait in memory for Python's
        garbage collector.
        """
        if self._orientation is None:
            self._orientation = orientation_of(frame)
        return self._orientation

    def _image(self, frame: VideoFrame) -> VideoFrame:
        """Return the frame as an upright image of 8 bits."""
        import torch
        from av import VideoFrame as Frame

        if self._converter is None:
            orientation, stored = self._orientation_of(frame), (frame.width, frame.height)
            crops = self.crops(*orientation.size(*stored))
            self._converter = Converter(frame, stored if crops else orientation.size(*self.size), self._colors)
        image = np.empty(self._converter.shape, np.float32)
        self._converter.write(frame, image)
        height, width, _ = image.shape
        result = Frame(width, height, "rgb24")
        to_rgb8(torch.from_numpy(image), name="The frame", out=plane_of(result, 0, width, height, 3))
        return result

    def _make_graph(self, frame: VideoFrame) -> Any:
        width, height = self.size
        filters = []
        if self.crops(frame.width, frame.height) and (frame.width, frame.height) != self.size:
            filters.append(("crop", f"w={width}:h={height}:x=0:y=0"))
        siting = f"in_chroma_loc={self._colors.siting}:out_chroma_loc=left"
        filters += [("scale", f"w={width}:h={height}:{_SCALE}:{siting}"), ("format", "yuv420p")]
        return filter_graph(frame, filters)
