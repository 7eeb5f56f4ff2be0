"""Decoded frames to one float32 tensor: a preallocated array, and a thread that converts into it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Full, Queue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..image.pixels import plane_of
from ..video.container import rotation_of
from ..video.threads import is_large
from .memory import allocation_failed

if TYPE_CHECKING:
    from av import VideoFrame

Pixels = NDArray[np.float32]

_QUEUE = 2
"""Frames that wait for the converter. Each keeps one of the decoder's own frames in memory."""
_SMALL = 3_000_000
"""Pixels of a frame up to which there may be two 8-bit images at a time (6 MB each at 1080p, 25 MB at 4K)."""
_WHITE = np.float32(255)
_SPACES = (1, 4, 5, 6, 7, 9)
_BT601, _SMPTE170M, _FULL = 5, 6, 2
"""FFmpeg's AVColorSpace and AVColorRange."""


@dataclass(frozen=True)
class Geometry:
    """How a frame becomes an image: scaled to width × height, then rotated by `turns` quarters counterclockwise.

    Attributes:
        large: the file's own frames are so large that none may wait in memory.
    """

    width: int
    height: int
    turns: int
    large: bool = False

    @classmethod
    def of(cls, frame: VideoFrame, max_side: int) -> Geometry:
        """Return the geometry of the first frame, which all others are brought to."""
        width, height = limited_size(frame.width, frame.height, max_side)
        return cls(width, height, rotation_of(frame) // 90, is_large(frame.width * frame.height))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the image as it is shown."""
        turned = self.turns % 2 == 1
        return (self.width, self.height, 3) if turned else (self.height, self.width, 3)


def limited_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Return width and height with the longer side at most `max_side` (0: any). The shape is kept."""
    longer = max(width, height)
    if not max_side or longer <= max_side:
        return width, height
    return max(1, round(width * max_side / longer)), max(1, round(height * max_side / longer))


class Converter:
    """Converts frames of any pixel format to 0..1. One for each thread: it keeps FFmpeg's scaler between frames."""

    def __init__(self, geometry: Geometry) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self._geometry = geometry
        self._reformatter = VideoReformatter()
        # Bit-equal to core's `frame.to_ndarray("rgb24")` only without further arguments.
        self._plain: dict[str, Any] = {"format": "rgb24"}
        # PyAV before 17 has no such argument, uses one thread, and takes every video for limited BT.601.
        self._old = "threads" not in (VideoReformatter.reformat.__doc__ or "")
        if not self._old:
            self._plain["threads"] = 1
        self._scaled = {
            **self._plain,
            "width": geometry.width,
            "height": geometry.height,
            "interpolation": Interpolation.BICUBIC,
        }

    def write(self, frame: VideoFrame, out: Pixels) -> None:
        """Fill `out`, of the geometry's shape, with the image.

        Division by 255 is bit-equal to core; multiplication by 1/255 is not.
        """
        geometry = self._geometry
        same = (frame.width, frame.height) == (geometry.width, geometry.height)
        arguments = self._plain if same else self._scaled
        if self._old:
            arguments = {**arguments, **_colour_arguments(frame)}
        rgb = self._reformatter.reformat(frame, **arguments)
        image = plane_of(rgb, 0, rgb.width, rgb.height, 3)
        if geometry.turns:
            image = np.rot90(image, geometry.turns)
        np.divide(image, _WHITE, out=out, dtype=np.float32)


def _colour_arguments(frame: VideoFrame) -> dict[str, int]:
    """Return the file's colour tags as arguments for a PyAV that does not read them."""
    space, extent = int(frame.colorspace), int(frame.color_range)
    if frame.format.is_rgb or (space not in _SPACES and extent != _FULL):
        return {}
    source = space if space in _SPACES else _BT601
    # RGB has no matrix of its own, but equal names on both sides make PyAV leave the tables as they are.
    target = _BT601 if source != _BT601 else _SMPTE170M
    return {"src_colorspace": source, "dst_colorspace": target, "src_color_range": extent, "dst_color_range": _FULL}


class FrameStore:
    """A growing float32 [N,H,W,3] array. Frames are converted in a second thread while the caller decodes on.

    If that thread is behind, the caller converts too instead of waiting for it, unless frames are so large that a
    second 8-bit image costs too much memory. Large frames are converted by the caller alone: those that wait for a
    thread, and the heap that grows around them, were seen to take 24 to 107 MiB at 4K. The thread empties its queue
    whatever happens, so the caller never waits forever.

    Args:
        grow: called with the new number of frames before the array is made larger than planned; may raise.
    """

    def __init__(self, geometry: Geometry, capacity: int, grow: Callable[[int], None]) -> None:
        self._grow = grow
        self._helps = geometry.width * geometry.height <= _SMALL
        self._own = Converter(geometry)
        self._theirs = Converter(geometry)
        # numpy asks the system for huge pages, torch does not; pages that are never written cost nothing.
        self._data: Pixels = np.empty((max(1, capacity), *geometry.shape), np.float32)
        self._queue: Queue[tuple[VideoFrame, Pixels] | None] = Queue(_QUEUE)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="wan27-decode", daemon=True)
        if not geometry.large:
            self._thread.start()
        self._large = geometry.large
        self.count = 0

    def add(self, frame: VideoFrame) -> None:
        """Take one frame. Raise what the conversion of an earlier one raised."""
        if self._error is not None:
            raise self._error
        if self.count == len(self._data):
            self._enlarge()
        out = self._data[self.count]
        self.count += 1
        if self._large:
            self._own.write(frame, out)
            return
        try:
            self._queue.put((frame, out), block=not self._helps)
        except Full:
            self._own.write(frame, out)

    def finish(self) -> Pixels:
        """Wait for the last conversion. Return [N,H,W,3] of exactly what was added."""
        self.close()
        if self._error is not None:
            raise self._error
        return self._data[: self.count]

    def close(self) -> None:
        """End the thread. Safe to call twice, and after an error."""
        if self._thread.is_alive():
            self._queue.put(None)  # the thread empties the queue whatever happens, so there will be room
            self._thread.join()

    def _enlarge(self) -> None:
        larger = self.count + max(16, self.count // 4)
        self._grow(larger)
        self._queue.join()
        try:
            data: Pixels = np.empty((larger, *self._data.shape[1:]), np.float32)
        except MemoryError as error:
            height, width = self._data.shape[1:3]
            raise allocation_failed("The video", larger, width, height) from error
        data[: self.count] = self._data
        self._data = data

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is None:
                try:
                    self._theirs.write(*item)
                except BaseException as error:  # handed to the thread that decodes
                    self._error = error
            del item  # a frame held here while waiting is a frame's memory
            self._queue.task_done()
