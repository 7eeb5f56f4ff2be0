"""The frames of a window in one float32 tensor: a preallocated array, and a thread that converts into it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from queue import Full, Queue
from typing import TYPE_CHECKING

import numpy as np

from ..video.geometry import square_size
from ..video.images import Converter, Pixels
from ..video.rgb import StreamColors
from ..video.video_input import VideoInput, is_large
from .memory import allocation_failed
from .options import DecodeOptions, OnProgress
from .plan import Plan

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from torch import Tensor

_QUEUE = 2
"""Frames that wait for the converter. Each keeps one of the decoder's own frames in memory."""
_SMALL = 1_000_000
"""Pixels up to which two scaled images may be in memory at a time, of 12 bytes a pixel. What is not scaled is converted
in parts."""


class FrameCollector:
    """Takes the frames of a window in order of time. Keeps every n-th of them as a tensor, or only the last one.

    Args:
        check_memory: called with width, height and number of frames before memory is taken; may raise.

    Attributes:
        count: number of images so far.
        end: when the audio ends: with the last frame that max_frames lets through. None before that frame.
    """

    def __init__(
        self,
        video: VideoInput,
        options: DecodeOptions,
        plan: Plan,
        check_memory: Callable[..., None],
        on_progress: OnProgress | None,
    ) -> None:
        self._video, self._options, self._plan = video, options, plan
        self._check_memory, self._on_progress = check_memory, on_progress
        self.count = 0
        self.end: Fraction | None = None
        self._inside = 0
        self._store: FrameStore | None = None
        self._latest: VideoFrame | None = None
        self._size = (0, 0)

    @property
    def is_empty(self) -> bool:
        """Whether no frame has come."""
        return self._store is None and self._latest is None

    def add(self, frame: VideoFrame, time: Fraction) -> bool:
        """Take the next frame. Return whether more are wanted."""
        options = self._options
        if not options.want_images:
            if self._latest is not None and time > self._plan.last:
                return False
            self._latest = frame
            return time < self._plan.last
        if self._plan.window.after(time):
            return False
        self._inside += 1
        if (self._inside - 1) % options.every_nth:
            return True
        self.count += 1
        self._keep(frame)
        if self._on_progress is not None:
            self._on_progress(self.count, max(self.count, self._plan.frames))
        if self.count != options.max_frames:
            return True
        self.end = self._plan.audio.end_by(time + options.every_nth / self._video.rate)
        return False

    def images(self) -> Tensor | None:
        """Return all frames, [N,H,W,3]; None if they were not wanted."""
        import torch

        if self._store is None:
            return None
        images = torch.from_numpy(self._store.finish())
        self._warn_of_losses(*self._store.converters)
        return images

    def last_frame(self) -> Tensor:
        """Return the last frame alone, [1,H,W,3]."""
        import torch

        assert self._latest is not None
        converter = self._converter(self._latest)
        out = np.empty((1, *converter.shape), np.float32)
        converter.write(self._latest, out[0])
        self._warn_of_losses(converter)
        return torch.from_numpy(out)

    def close(self) -> None:
        """End the converting thread."""
        if self._store is not None:
            self._store.close()

    def _keep(self, frame: VideoFrame) -> None:
        size = width, height = frame.width, frame.height
        if self._store is None:
            check, self._size = self._check_memory, size
            check(width, height)  # again: the header may have lied
            # While the array grows the old one is there too, and has taken its memory already. The store must not
            # refer to its owner: a cycle would keep the frames in memory.
            self._store = FrameStore(
                (self._converter(frame), self._converter(frame)),
                self._plan.frames,
                self._video.name,
                lambda n: check(width, height, n),
            )
        elif size != self._size:
            self._size = size
            self._video.damage.warn(f"{self._video.place} the size is {width}×{height}; scaled to the first's")
        self._store.add(frame)

    def _converter(self, first: VideoFrame) -> Converter:
        stream = self._video.video
        size = output_size(first.width, first.height, stream, self._options.max_side)
        return Converter(first, size, StreamColors.of(stream))

    def _warn_of_losses(self, *converters: Converter) -> None:
        if any(converter.found_transparency for converter in converters):
            self._video.damage.warn("transparent parts are shown on white")
        if converters[0].conversion:
            self._video.damage.warn(f"its colors were converted {converters[0].conversion}")


def limited_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Return width and height with the longer side at most `max_side` (0: any). The shape is kept."""
    longer = max(width, height)
    if not max_side or longer <= max_side:
        return width, height
    return max(1, round(width * max_side / longer)), max(1, round(height * max_side / longer))


def output_size(width: int, height: int, stream: VideoStream, max_side: int) -> tuple[int, int]:
    """Return the size, before they are turned upright, of the images that frames of the stored size become."""
    return limited_size(*square_size(width, height, stream), max_side)


class FrameStore:
    """A growing float32 [N,H,W,3] array. Frames are converted in a second thread while the caller decodes on.

    If that thread is behind, the caller converts too instead of waiting for it, unless a second scaled image costs too
    much memory. Large frames are converted by the caller alone: those that wait for a
    thread, and the heap that grows around them, were seen to take 24 to 107 MiB at 4K. The thread empties its queue
    whatever happens, so the caller never waits forever.

    `converters` are the caller's and the thread's. `grow` is called with the new number of frames before the array is
    made larger than planned, and may raise.
    """

    def __init__(
        self, converters: tuple[Converter, Converter], capacity: int, name: str, grow: Callable[[int], None]
    ) -> None:
        self._name, self._grow = name, grow
        self.converters = self._own, self._theirs = converters
        self._large = is_large(self._own.stored_pixels)
        self._helps = not self._own.scales or self._own.shape[0] * self._own.shape[1] <= _SMALL
        self._data = self._allocate(capacity)
        self._queue: Queue[tuple[VideoFrame, Pixels] | None] = Queue(_QUEUE)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="wan27-decode", daemon=True)
        if not self._large:
            self._thread.start()
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
        data = self._allocate(larger)
        data[: self.count] = self._data
        self._data = data

    def _allocate(self, count: int) -> Pixels:
        height, width, _ = shape = self._own.shape
        try:
            # numpy asks the system for huge pages, torch does not; pages that are never written cost nothing.
            return np.empty((count, *shape), np.float32)
        except MemoryError as error:
            raise allocation_failed(self._name, count, width, height) from error

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is None:
                try:
                    self._theirs.write(*item)
                except BaseException as error:  # handed to the thread that decodes
                    self._error = error
            del item  # a frame held here while waiting is a frame's memory
            self._queue.task_done()
