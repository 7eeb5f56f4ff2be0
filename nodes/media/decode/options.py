"""Options and result of decoding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from ..files import MediaError

if TYPE_CHECKING:
    from torch import Tensor

OnProgress = Callable[[int, int], None]
"""Called with frames done and expected."""


@dataclass(frozen=True)
class DecodeOptions:
    """Which part of a video is returned, and in which form.

    Attributes:
        start_time, duration: seconds from the start of the file; duration 0 is to the end.
        every_nth: 1 is every frame.
        max_frames: 0 is all.
        max_side: pixels of the longer side. Frames are never enlarged; 0 leaves them as they are.
        want_*: what is not wanted is not decoded and costs no memory.
        trimmed: how much of start_time is where the video begins in its file. The user did not ask for it, so messages
            leave it out.
    """

    start_time: float = 0.0
    duration: float = 0.0
    every_nth: int = 1
    max_frames: int = 0
    max_side: int = 0
    want_images: bool = True
    want_audio: bool = True
    want_last_frame: bool = True
    trimmed: float = 0.0

    def __post_init__(self) -> None:
        # Math nodes output numbers of numpy. What is not a number is left to `check`.
        for name in ("start_time", "duration", "every_nth", "max_frames", "max_side"):
            value = getattr(self, name)
            if isinstance(value, Integral):
                object.__setattr__(self, name, int(value))
            elif isinstance(value, Real):
                object.__setattr__(self, name, float(value))

    def check(self) -> None:
        """Raise MediaError for the first value that makes no sense."""
        for name, low in (("start_time", 0), ("duration", 0)):
            value = getattr(self, name)
            if not isinstance(value, Real) or not math.isfinite(value) or value < low:
                raise MediaError(f"{name} is {value!r}; it must be a number of at least {low}.")
        for name, low in (("every_nth", 1), ("max_frames", 0), ("max_side", 0)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < low:
                raise MediaError(f"{name} is {value!r}; it must be a whole number of at least {low}.")

    def inside(self, start: float, length: float) -> DecodeOptions:
        """Return the same window on a video that shows only `length` seconds (0: the rest) of a file from `start` on.

        Raises:
            MediaError: nothing of it is left.
        """
        if length and self.start_time >= length:
            raise MediaError(
                f"start_time is {self.start_time:g} s, but the video is trimmed to {length:g} s: nothing is left of "
                f"it. Use a start_time below {length:g} s, or 0, or trim the video to a longer part."
            )
        left = length - self.start_time if length else 0.0
        duration = min(filter(None, (self.duration, left)), default=0.0)
        return replace(self, start_time=self.start_time + start, duration=duration, trimmed=self.trimmed + start)


@dataclass
class Decoded:
    """Frames and audio of one window. What was not wanted is None.

    Attributes:
        images: float32 [N,H,W,3] in 0..1.
        audio: {"waveform": float32 [1,C,T], "sample_rate": int}; silence of the same length if the file has none.
        fps: of the returned frames.
        frame_count: N, also if images is None.
        last_frame: float32 [1,H,W,3].
        warnings: one sentence each, for the node and the log.
        metadata: the container's tags.
        silent: the file has no audio, and silence stands in for it.
    """

    images: Tensor | None
    audio: dict[str, Any] | None
    fps: Fraction
    frame_count: int
    last_frame: Tensor | None
    warnings: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    silent: bool = False
