"""Whether the frames fit into memory, asked before any of it is taken."""

from __future__ import annotations

from pathlib import Path

from ..files import MediaError
from .cgroup import free_in_cgroup

MIB = 1 << 20
#: What decoding takes beside the tensors, at least: the decoder's own frames, one 8 bit picture, FFmpeg's buffers.
WORKING_BYTES = 96 * MIB
#: Left to the rest of ComfyUI and the system.
MARGIN_BYTES = 256 * MIB


class MemoryRefusedError(MediaError):
    """The result does not fit into free memory. The text gives the figures and the inputs that help."""


def frame_bytes(width: int, height: int) -> int:
    """Bytes of one float32 RGB frame."""
    return width * height * 3 * 4


def working_bytes(width: int, height: int, bits: int) -> int:
    """What decoding takes beside the tensors, for frames of that size in the file, with so many bits for a pixel.

    Twelve of them, for references and those that wait for their turn, and one in 8 bit RGB. Seen at 4K: 138 MiB for
    H.264 with five references (this says 166), 241 MiB for HEVC with 10 bit (this says 308).
    """
    return max(WORKING_BYTES, width * height * (12 * bits // 8 + 3))


def check_memory(
    *,
    name: str,
    frames: int,
    width: int,
    height: int,
    other_bytes: int,
    limit: int | None,
    last_frame: bool = False,
    working: int = WORKING_BYTES,
) -> None:
    """Raise MemoryRefusedError where all that is asked for does not fit beside `working` bytes.

    frames: given out as images. last_frame: one more of the same size is given out on its own. other_bytes: of sound.
    `limit` replaces what the system says is free; where neither is known nothing is refused.
    """
    available = limit if limit is not None else available_bytes()
    if available is None:
        return
    spare = available - working - (MARGIN_BYTES if limit is None else 0)
    one = frame_bytes(width, height)
    pictures = (frames + last_frame) * one
    if pictures + other_bytes <= spare:
        return
    if not pictures:
        raise _sound_refused(name, other_bytes, spare)
    sound = f" and {_size(other_bytes)} more for the sound" if other_bytes else ""
    raise MemoryRefusedError(
        f"{name}: {_needing(frames, last_frame, width, height)} {_size(pictures)} of memory as an IMAGE{sound}, and "
        f"{_size(available)} are free ({_size(max(spare, 0))} after a margin). "
        + _way_out(frames, last_frame, one, other_bytes, spare)
    )


def _needing(frames: int, last_frame: bool, width: int, height: int) -> str:
    """The beginning of a sentence, up to its verb."""
    if not frames:
        return f"the last frame of {width}×{height} needs"
    if frames + last_frame == 1:
        return f"1 frame of {width}×{height} needs"
    return f"{frames + last_frame} frames of {width}×{height}{' (one for last_frame)' * last_frame} need"


def _way_out(frames: int, last_frame: bool, one: int, sound: int, spare: int) -> str:
    """What helps. Sound is taken in full: with fewer frames it gets shorter, so that what is told fits for sure."""
    pictures = (frames + last_frame) * one
    fitting = (spare - sound) // one - last_frame
    if frames and fitting > 0:
        unheard = ", or link nothing to audio" if sound > pictures and pictures <= spare else ""
        return (
            f"About {fitting} such frames would fit: set max_frames to that or less, set duration, raise every_nth, or "
            f"make the frames smaller with max_side{unheard}."
        )
    if sound and (bool(frames) + last_frame) * one <= spare:
        smaller = " The frames alone get smaller with every_nth and max_side." if frames else ""
        return (
            "The sound leaves no room: set duration or max_frames to decode a part of it, or link nothing to audio."
            + smaller
        )
    what = "Not one such frame" if frames else "Not even that one"
    beside = " beside last_frame" if frames and last_frame else ""
    return (
        f"{what} would fit{beside}: make it smaller with max_side, link less of images, audio and last_frame, or free "
        "memory that models and other programs hold."
    )


def not_given(name: str, frames: int, width: int, height: int) -> MemoryRefusedError:
    """The error for when it seemed to fit, but the system does not give the memory for so many frames of that size."""
    return MemoryRefusedError(
        f"{name}: the system does not give the memory for {frames} frames of {width}×{height}. Set max_frames or "
        "duration, raise every_nth, or make them smaller with max_side."
    )


def check_sound(*, name: str, count: int, other_bytes: int, limit: int | None) -> None:
    """Raise MemoryRefusedError where `count` more bytes of sound do not fit. other_bytes: taken from `limit`."""
    available = limit if limit is not None else available_bytes()
    if available is None:
        return
    spare = available - (MARGIN_BYTES if limit is None else WORKING_BYTES + other_bytes)
    if count > spare:
        raise _sound_refused(name, count, spare)


def _sound_refused(name: str, count: int, spare: int) -> MemoryRefusedError:
    return MemoryRefusedError(
        f"{name}: its sound alone needs {_size(count)} of memory, and {_size(max(spare, 0))} are free after a margin. "
        "Set duration or max_frames to decode a part of it, or link nothing to audio."
    )


def available_bytes() -> int | None:
    """Memory that can be taken without swapping, a container's limit counted in. None where nothing tells."""
    free = _free_by_psutil()
    if free is None:
        free = _free_by_proc()
    capped = free_in_cgroup()
    known = [value for value in (free, capped) if value is not None]
    return min(known) if known else None


def _free_by_psutil() -> int | None:
    try:
        import psutil  # type: ignore[import-untyped, import-not-found, unused-ignore]

        return int(psutil.virtual_memory().available)
    except Exception:  # not a dependency; on odd systems it raises errors of many kinds
        return None


def _free_by_proc(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    try:
        for line in meminfo.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / MIB:.0f} MiB"
