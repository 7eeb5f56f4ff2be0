"""Check that the decoded frames and audio fit into memory, before any of it is taken."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from ..files import MediaError
from .cgroup import free_in_cgroup

MIB = 1 << 20
WORKING_BYTES = 96 * MIB
"""The least that decoding takes beside the tensors: the decoder's own frames, one 8-bit image, FFmpeg's buffers."""
MARGIN_BYTES = 256 * MIB
"""Left to the rest of ComfyUI and the system."""


class MemoryRefusedError(MediaError):
    """The result does not fit into free memory. The text gives the figures and the inputs that help."""


def frame_bytes(width: int, height: int) -> int:
    """Return the bytes of one float32 RGB frame."""
    return width * height * 3 * 4


def working_bytes(width: int, height: int, bits: int) -> int:
    """Return the bytes that decoding takes beside the tensors, if a pixel of the file takes `bits` bits of memory.

    Counts twelve frames, for references and for those that wait for their turn, and one in 8-bit RGB. Seen at 4K:
    138 MiB for H.264 with five references (this returns 166), 241 MiB for 10-bit HEVC (this returns 308).
    """
    return max(WORKING_BYTES, width * height * (12 * bits // 8 + 3))


def check_memory(
    *,
    name: str,
    frames: int = 0,
    last_frame: bool = False,
    width: int = 0,
    height: int = 0,
    audio_bytes: int = 0,
    limit: int | None = None,
    working: int = WORKING_BYTES,
) -> None:
    """Raise MemoryRefusedError if what was asked for does not fit beside `working` bytes.

    Args:
        frames: returned as images.
        last_frame: one more frame of the same size is returned on its own.
        audio_bytes: counted in full though fewer frames shorten the audio, so that a proposed number certainly fits.
        limit: replaces what the system says is free. If neither is known, nothing is refused.
    """
    available = limit if limit is not None else available_bytes()
    if available is None:
        return
    spare = available - working - (MARGIN_BYTES if limit is None else 0)
    count, one = frames + last_frame, frame_bytes(width, height)
    if count * one + audio_bytes <= spare:
        return
    needed = [f"{_size(audio_bytes)} for the audio"] if audio_bytes else []
    if count:
        extra = " (one for last_frame)" if last_frame else ""
        needed.insert(0, f"{_size(count * one)} for {count} frame{'s' * (count > 1)} of {width}×{height}{extra}")
    fitting = (spare - audio_bytes) // one - last_frame if frames else 0
    if fitting > 0:
        ways = [f"set max_frames to {fitting} or less", "set duration"]
    else:
        ways = ["set max_frames or duration"] if audio_bytes else []
    ways += ["raise every_nth"] if frames and ways else []
    ways += ["lower max_side"] if count else []
    ways += ["link fewer of images, audio and last_frame"]
    raise MemoryRefusedError(
        f"{name} needs {' and '.join(needed)}; {_size(max(spare, 0))} of the {_size(available)} that are free can be "
        f"used. To make it fit, {', '.join(ways)}, or free memory that models and other programs hold."
    )


def allocation_failed(name: str, frames: int, width: int, height: int) -> MemoryRefusedError:
    """Return the error for frames that seemed to fit, but that the system has no memory for."""
    return MemoryRefusedError(
        f"{name}: the system has no memory for {frames} frames of {width}×{height}. Set max_frames or duration, raise "
        "every_nth, or lower max_side."
    )


def available_bytes(in_container: Callable[[], int | None] = free_in_cgroup) -> int | None:
    """Return the bytes that can be taken without swapping and within a container's limit, or None if unknown."""
    known = [in_container()]
    with suppress(Exception):  # on odd systems psutil raises errors of many kinds
        import psutil  # type: ignore[import-untyped, import-not-found, unused-ignore]  # ComfyUI itself needs it

        known.append(int(psutil.virtual_memory().available))
    return min((value for value in known if value is not None), default=None)


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / MIB:.0f} MiB"
