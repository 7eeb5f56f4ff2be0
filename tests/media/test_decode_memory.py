from __future__ import annotations

from pathlib import Path

import pytest

from nodes.media import decode_memory
from nodes.media.decode import DecodeOptions, decode
from nodes.media.decode_memory import MIB, MemoryRefusedError, available_bytes, check_memory, working_bytes
from tests.media.clips import Clip, write

FITTING = {"name": "a.mp4", "frames": 10, "width": 1024, "height": 1024, "other_bytes": 0}


def test_what_fits_passes_and_a_byte_more_does_not() -> None:
    check_memory(**FITTING, limit=(120 + 96) * MIB)
    with pytest.raises(MemoryRefusedError, match=r"10 frames of 1024×1024 need 120 MiB .* About 9 such frames"):
        check_memory(**FITTING, limit=(120 + 96) * MIB - 1)
    with pytest.raises(MemoryRefusedError):
        check_memory(**{**FITTING, "other_bytes": 1}, limit=(120 + 96) * MIB)


def test_an_absurd_claim_is_refused_by_what_is_really_free() -> None:
    with pytest.raises(MemoryRefusedError, match="GiB"):
        check_memory(**{**FITTING, "frames": 10**9}, limit=None)


def test_the_system_tells_what_is_free() -> None:
    assert (available_bytes() or 0) > 10 * MIB


def test_without_psutil_the_kernel_is_asked(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 100 kB\nMemFree: 3 kB\nMemAvailable:   20 kB\n")
    assert decode_memory._free_by_proc(meminfo) == 20 * 1024
    meminfo.write_text("nothing\n")
    assert decode_memory._free_by_proc(meminfo) is None
    assert decode_memory._free_by_proc(tmp_path / "none") is None


def test_a_containers_own_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\nactive_file 50\n")
    assert decode_memory._free_in_cgroup(tmp_path) == 500
    (tmp_path / "memory.max").write_text("max\n")
    assert decode_memory._free_in_cgroup(tmp_path) is None


@pytest.mark.parametrize(
    ("size", "bits", "expected"),
    [((64, 64), 12, 96), ((1920, 1080), 24, 96), ((3840, 2160), 12, 166), ((3840, 2160), 24, 308)],
)
def test_large_frames_need_more_beside_the_tensors(size: tuple[int, int], bits: int, expected: int) -> None:
    assert working_bytes(*size, bits) // MIB == expected


def test_what_large_frames_need_is_asked_for_before_they_are_decoded(tmp_path: Path) -> None:
    clip = Clip(codec="mpeg4", size=(3840, 2160), frames=2, audio=None, colour=(40, 90, 160))
    path = write(tmp_path / "large.mp4", clip)
    options = DecodeOptions(max_side=64, want_audio=False)

    assert decode(path, options, memory_limit=170 * MIB).frame_count == 2
    with pytest.raises(MemoryRefusedError):
        decode(path, options, memory_limit=160 * MIB)
