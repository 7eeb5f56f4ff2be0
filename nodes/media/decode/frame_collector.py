"""The frames of the window that are wanted, and no other one."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..video.video_input import VideoInput
from .frame_store import Converter, FrameStore, Geometry
from .memory import allocation_failed
from .options import DecodeOptions, Progress
from .plan import Plan

if TYPE_CHECKING:
    from av import VideoFrame
    from torch import Tensor


class FrameCollector:
    """Takes the frames of a window in order of time. Keeps every n-th of them as a tensor, or only the last one.

    Args:
        check_memory: called with width, height and number of frames before memory is taken; may raise.

    Attributes:
        last_only: only the last frame has to be decoded: no images are wanted, and the plan knows which is the last.
        wanted: whether any frame has to be decoded.
        count: of the frames that are returned.
        end: of the audio: that of the last frame that max_frames lets through. None before it has come.
    """

    def __init__(
        self,
        video: VideoInput,
        options: DecodeOptions,
        plan: Plan,
        check_memory: Callable[..., None],
        on_progress: Progress | None,
    ) -> None:
        self._video, self._options, self._plan = video, options, plan
        self._check_memory, self._on_progress = check_memory, on_progress
        self.last_only = not options.want_images and plan.frames is not None
        self.wanted = options.want_images or options.want_last_frame or plan.frames is None
        self.count = plan.frames or 0 if self.last_only else 0
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
        options, last = self._options, self._plan.last
        if self._plan.window.after(time):
            return False
        if self.last_only and last is not None:
            self._latest = frame
            return time < last
        self._inside += 1
        if (self._inside - 1) % options.every_nth:
            return True
        self.count += 1
        if options.want_images:
            self._keep(frame)
        else:
            self._latest = frame
        if self._on_progress is not None:
            self._on_progress(self.count, max(self.count, self._plan.frames or 0))
        if self.count != options.max_frames:
            return True
        end, latest = time + options.every_nth / self._video.rate, self._plan.window.end
        self.end = end if latest is None else min(end, latest)
        return False

    def images(self) -> Tensor | None:
        """Return all frames, [N,H,W,3]; None if they were not wanted."""
        import torch

        return None if self._store is None else torch.from_numpy(self._store.finish())

    def last_frame(self) -> Tensor:
        """Return the last frame alone, [1,H,W,3]."""
        import torch

        assert self._latest is not None
        geometry = Geometry.of(self._latest, self._options.max_side)
        out = np.empty((1, *geometry.shape), np.float32)
        Converter(geometry).write(self._latest, out[0])
        return torch.from_numpy(out)

    def close(self) -> None:
        """End the converting thread."""
        if self._store is not None:
            self._store.close()

    def _keep(self, frame: VideoFrame) -> None:
        size = frame.width, frame.height
        if self._store is None:
            self._store, self._size = self._make_store(frame), size
        elif size != self._size:
            self._size = size
            self._video.damage.warn(f"{self._video.place} the size is {size[0]}×{size[1]}; scaled to the first's")
        self._store.add(frame)

    def _make_store(self, first: VideoFrame) -> FrameStore:
        """Allocate the array for all frames. The first one's size is checked again: the header may have lied."""
        width, height, frames = first.width, first.height, self._plan.expected
        check = self._check_memory  # the store must not refer to its owner: a cycle would keep the frames in memory
        check(width, height)
        geometry = Geometry.of(first, self._options.max_side)
        try:
            # While the array grows the old one is there too, and has taken its memory already.
            return FrameStore(geometry, frames, lambda count: check(width, height, count))
        except MemoryError as error:
            raise allocation_failed(self._video.name, frames, geometry.width, geometry.height) from error
