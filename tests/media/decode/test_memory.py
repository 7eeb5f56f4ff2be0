from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nodes.media.decode import decode as decode_module
from nodes.media.decode.decode import DecodeOptions, decode
from nodes.media.decode.memory import (
    MIB,
    MemoryRefusedError,
    available_bytes,
    check_memory,
    working_bytes,
)
from tests.media_files import Clip, write

FITTING = {"name": "a.mp4", "frames": 10, "width": 1024, "height": 1024, "audio_bytes": 0}


def test_check_memory_accepts_what_fits_and_refuses_a_byte_more() -> None:
    check_memory(**FITTING, limit=(120 + 96) * MIB)
    with pytest.raises(
        MemoryRefusedError, match=r"needs 120 MiB for 10 frames of 1024×1024; 120 MiB of .*max_frames to 9"
    ):
        check_memory(**FITTING, limit=(120 + 96) * MIB - 1)
    with pytest.raises(MemoryRefusedError):
        check_memory(**{**FITTING, "audio_bytes": 1}, limit=(120 + 96) * MIB)


def test_check_memory_compares_with_what_is_really_free() -> None:
    with pytest.raises(MemoryRefusedError, match="GiB"):
        check_memory(**{**FITTING, "frames": 10**9}, limit=None)


def test_available_bytes_asks_the_system() -> None:
    assert (available_bytes() or 0) > 10 * MIB


def test_available_bytes_counts_the_limit_of_a_container() -> None:
    assert available_bytes(lambda: 5 * MIB) == 5 * MIB
    assert (available_bytes(lambda: None) or 0) > 5 * MIB


@pytest.mark.parametrize(
    ("size", "bits", "expected"),
    [((64, 64), 12, 96), ((1920, 1080), 24, 96), ((3840, 2160), 12, 166), ((3840, 2160), 24, 308)],
)
def test_working_bytes_grow_with_large_frames(size: tuple[int, int], bits: int, expected: int) -> None:
    assert working_bytes(*size, bits) // MIB == expected


def test_decode_counts_the_working_memory_of_large_frames_first(tmp_path: Path) -> None:
    clip = Clip(codec="mpeg4", size=(3840, 2160), frames=2, audio=None, colour=(40, 90, 160))
    path = write(tmp_path / "large.mp4", clip)
    options = DecodeOptions(max_side=64, want_audio=False)

    assert decode(path, options, memory_limit=170 * MIB).frame_count == 2
    with pytest.raises(MemoryRefusedError):
        decode(path, options, memory_limit=160 * MIB)


def refusal(path: Path, options: DecodeOptions, limit: int) -> str:
    with pytest.raises(MemoryRefusedError) as caught:
        decode(path, options, memory_limit=limit)
    return str(caught.value)


@pytest.mark.parametrize("last_frame", [False, True])
@pytest.mark.parametrize("audio", [False, True])
def test_decode_fits_with_the_max_frames_that_a_refusal_proposes(tmp_path: Path, last_frame: bool, audio: bool) -> None:
    path = write(tmp_path / "a.mp4", Clip(size=(320, 240), frames=30, audio="aac", colour=(40, 90, 160)))
    options = DecodeOptions(want_last_frame=last_frame, want_audio=audio)
    limit = 96 * MIB + 12 * 320 * 240 * 12

    text = refusal(path, options, limit)
    fitting = int(re.findall(r"max_frames to (\d+) or less", text)[0])

    assert ("31 frames of 320×240 (one for last_frame)" if last_frame else "for 30 frames of 320×240") in text
    assert ("for the audio" in text) == audio
    assert decode(path, replace(options, max_frames=fitting), memory_limit=limit).frame_count == fitting
    if not audio:
        refusal(path, replace(options, max_frames=fitting + 1), limit)


@pytest.mark.parametrize(
    ("asked", "starts"),
    [
        ({"frames": 10}, "120 MiB for 10 frames of 1024×1024; 11 MiB"),
        ({"frames": 10, "last_frame": True}, "132 MiB for 11 frames of 1024×1024 (one for last_frame); 11 MiB"),
        ({"frames": 1}, "12 MiB for 1 frame of 1024×1024; 11 MiB"),
        ({"frames": 0, "last_frame": True}, "12 MiB for 1 frame of 1024×1024 (one for last_frame); 11 MiB"),
    ],
)
def test_check_memory_proposes_no_max_frames_if_none_fits(asked: dict[str, int], starts: str) -> None:
    with pytest.raises(MemoryRefusedError) as caught:
        check_memory(**{**FITTING, **asked}, limit=(96 + 11) * MIB)

    assert str(caught.value).startswith(f"a.mp4 needs {starts}")
    assert "max_side" in str(caught.value)
    assert "link fewer" in str(caught.value)
    assert "max_frames" not in str(caught.value)


def test_check_memory_names_last_frame_if_one_frame_fits_only_without_it() -> None:
    text = r"one for last_frame\).*To make it fit, lower max_side, link fewer of .*last_frame"
    with pytest.raises(MemoryRefusedError, match=text):
        check_memory(**FITTING, last_frame=True, limit=(96 + 13) * MIB)


def test_check_memory_names_audio_that_takes_the_room() -> None:
    text = "and 200 MiB for the audio.*set max_frames or duration, .*link fewer of images, audio"
    with pytest.raises(MemoryRefusedError, match=text):
        check_memory(**{**FITTING, "audio_bytes": 200 * MIB}, limit=(96 + 150) * MIB)
    with pytest.raises(MemoryRefusedError, match=r"set max_frames to 4 or less.*link fewer of images, audio"):
        check_memory(**{**FITTING, "audio_bytes": 200 * MIB}, limit=(96 + 250) * MIB)
    check_memory(**FITTING, limit=(96 + 150) * MIB)


def test_decode_audio_alone_proposes_only_what_shortens_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", Clip(frames=60, fps=1, layout="mono", colour=(40, 90, 160)))
    options = DecodeOptions(want_images=False, want_last_frame=False)
    limit = 96 * MIB + 20 * MIB

    text = refusal(path, options, limit)

    assert "a.mp4 needs 22 MiB for the audio; 20 MiB" in text
    for useless in ("max_side", "every_nth", "frames of"):
        assert useless not in text
    # Not far from the end, so that the whole file was looked through.
    assert decode(path, replace(options, max_frames=50), memory_limit=limit).audio is not None
    assert decode(path, replace(options, duration=50), memory_limit=limit).audio is not None


def raw(folder: Path, frames: int = 200) -> Path:
    """Return a stream without a container, whose packets carry no time."""
    return write(folder / "raw.h264", Clip(frames=frames, audio=None))


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (DecodeOptions(), 200),
        (DecodeOptions(max_frames=20), 20),
        (DecodeOptions(every_nth=3), 67),
        (DecodeOptions(every_nth=3, max_frames=90), 67),
        (DecodeOptions(duration=1), 25),
        (DecodeOptions(start_time=7), 25),
    ],
)
def test_decode_expects_a_frame_for_each_packet_without_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: DecodeOptions, count: int
) -> None:
    monkeypatch.setattr("nodes.media.decode.frames.FrameStore._enlarge", None)  # nothing is copied
    one = 96 * 64 * 12

    options = replace(options, want_audio=False)
    assert decode(raw(tmp_path), options, memory_limit=96 * MIB + (count + 2) * one).frame_count == count
    refusal(raw(tmp_path), options, 96 * MIB + count * one)


@pytest.mark.parametrize("allowed", [0, 8], ids=["at once", "later"])
def test_decode_refuses_when_an_allocation_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
    path, real = raw(tmp_path, 20), np.empty
    planned = decode_module.make_plan
    monkeypatch.setattr(decode_module, "make_plan", lambda *given: replace(planned(*given), frames=8))

    def empty(shape: tuple[int, ...], *rest: object) -> np.ndarray:
        if len(shape) == 4 and shape[0] > allowed:
            raise MemoryError
        return real(shape, *rest)

    monkeypatch.setattr("nodes.media.decode.frames.np.empty", empty)
    with pytest.raises(MemoryRefusedError, match=r"has no memory for (8|24) frames of 96×64.*max_frames"):
        decode(path)
