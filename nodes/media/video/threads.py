"""How many threads the decoder gets, and of which kind."""

from __future__ import annotations

import os

#: Every frame thread keeps pictures of its own; beyond this a wide machine pays with memory and gains nothing.
_MOST = 8
#: Frame pixels times threads: each thread was seen to take the memory of three frames, so this is about 45 MB at 8 bit.
_PIXELS = 10_000_000


def thread_count(pixels: int) -> int:
    """Threads for frames of `pixels` pixels: two more than there are cores, since each waits for another at times."""
    return max(1, min(_MOST, cores() + 2, _PIXELS // max(1, pixels)))


def threads_for(pixels: int) -> tuple[str, int]:
    """thread_type and thread_count for a codec context.

    Where only one frame thread is left, threads share a frame instead, in files that have slices or rows for it: that
    takes no memory to speak of.
    """
    return ("SLICE", min(_MOST, cores())) if is_large(pixels) else ("AUTO", thread_count(pixels))


def is_large(pixels: int) -> bool:
    """Whether frames of so many pixels are decoded one after the other."""
    return pixels * 2 > _PIXELS


def cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1
