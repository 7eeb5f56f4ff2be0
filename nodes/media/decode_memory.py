"""Whether the frames fit into memory, asked before any of it is taken."""

from __future__ import annotations

from pathlib import Path

from .file import MediaError

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
    working: int = WORKING_BYTES,
) -> None:
    """Raise MemoryRefusedError where `frames` frames and `other_bytes` of sound do not fit beside `working` bytes.

    `limit` replaces what the system says is free; where neither is known nothing is refused.
    """
    available = limit if limit is not None else available_bytes()
    if available is None:
        return
    spare = available - working - (MARGIN_BYTES if limit is None else 0)
    needed = frames * frame_bytes(width, height) + other_bytes
    if needed <= spare:
        return
    fitting = max(0, (spare - other_bytes) // frame_bytes(width, height))
    raise MemoryRefusedError(
        f"{name}: {frames} frames of {width}×{height} need {_size(needed)} of memory as an IMAGE, and "
        f"{_size(available)} are free ({_size(max(spare, 0))} after a margin). About {fitting} such frames would fit: "
        "set max_frames to that or less, set duration, raise every_nth, or make the frames smaller with max_side."
    )


def check_sound(*, name: str, count: int, other_bytes: int, limit: int | None) -> None:
    """Raise MemoryRefusedError where `count` more bytes of sound do not fit. other_bytes: taken from `limit`."""
    available = limit if limit is not None else available_bytes()
    if available is None:
        return
    spare = available - (MARGIN_BYTES if limit is None else WORKING_BYTES + other_bytes)
    if count <= spare:
        return
    raise MemoryRefusedError(
        f"{name}: its sound alone needs {_size(count)} of memory, and {_size(max(spare, 0))} are free after a margin. "
        "Set duration or max_frames to decode a part of it, or link nothing to audio."
    )


def available_bytes() -> int | None:
    """Memory that can be taken without swapping, a container's limit counted in. None where nothing tells."""
    free = _free_by_psutil()
    if free is None:
        free = _free_by_proc()
    capped = _free_in_cgroup()
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


def _free_in_cgroup(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What the container's own limit leaves. File cache counts as used there, but is given back on demand."""
    try:
        limit = (root / "memory.max").read_text(encoding="ascii").strip()
        if limit == "max":
            return None
        used = int((root / "memory.current").read_text(encoding="ascii"))
        stat = dict(line.split() for line in (root / "memory.stat").read_text(encoding="ascii").splitlines())
        return int(limit) - used + int(stat.get("inactive_file", 0)) + int(stat.get("active_file", 0))
    except (OSError, ValueError):
        return None


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / MIB:.0f} MiB"
