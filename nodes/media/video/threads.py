"""Number and type of the decoder's threads."""

from __future__ import annotations

import os

_MOST = 8
"""Every frame thread keeps frames of its own. More threads cost memory and gain nothing."""
_PIXELS = 10_000_000
"""Pixels of a frame times threads. Each thread was seen to take the memory of three frames: about 45 MB at 8 bits."""


def thread_count(pixels: int) -> int:
    """Return the threads for frames of `pixels` pixels: two more than cores, since threads wait for each other."""
    return max(1, min(_MOST, cores() + 2, _PIXELS // max(1, pixels)))


def threads_for(pixels: int) -> tuple[str, int]:
    """Return thread_type and thread_count for a codec context.

    If only one frame thread is left, threads share a frame instead, in files that have slices or rows for it. That
    takes hardly any memory.
    """
    return ("SLICE", min(_MOST, cores())) if is_large(pixels) else ("AUTO", thread_count(pixels))


def is_large(pixels: int) -> bool:
    """Return whether frames of so many pixels are decoded one after the other."""
    return pixels * 2 > _PIXELS


def cores() -> int:
    """Return the number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1
