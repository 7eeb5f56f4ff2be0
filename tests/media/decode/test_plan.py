from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from nodes.core import limits
from nodes.media.clip.encode import encode_clip
from nodes.media.decode.decode import DecodeOptions, decode
from nodes.media.decode.memory import MIB, MemoryRefusedError
from tests.media.comfyui_inputs import FileVideo
from tests.media_files import Clip, grey, repeated, sweep, write, write_clip
from tests.media_reading import audio_of, reference, reread, same_frames, shown_at


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1000 frames at 10 fps with B-frames, a key frame every half second."""
    folder = tmp_path_factory.mktemp("long")
    short = write(folder / "short.mp4", Clip(gop=5, frames=20, audio=None, options={"bf": "3"}))
    return repeated(folder / "long.mp4", short, 50)


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        (DecodeOptions(max_frames=1), 0, 0),
        (DecodeOptions(duration=0.5), 0, 4),
        (DecodeOptions(start_time=3.0, max_frames=7, every_nth=3), 30, 48),
        (DecodeOptions(start_time=3.0, duration=1.0, want_images=False), 30, 39),
    ],
)
def test_plan_of_a_part_reads_no_more_of_a_long_file_than_it_needs(
    long: Path, options: DecodeOptions, first: int, last: int
) -> None:
    asked: list[bool] = []

    found = decode(long, options, cancelled=lambda: bool(asked.append(False)))

    # Asked once for each packet looked at and decoded, and once for each frame.
    assert len(asked) < 500
    assert found.warnings == ()
    assert same_frames(found.last_frame[0], reference(long)[last])
    if found.images is not None:
        assert same_frames(found.images.numpy(), reference(long)[first : last + 1 : options.every_nth])


def test_plan_finds_the_last_frame_of_a_long_file(long: Path) -> None:
    found = decode(long, DecodeOptions(want_images=False))

    assert found.frame_count == 1000
    assert same_frames(found.last_frame[0], reference(long)[-1])


# Variable rates

TIMES = tuple(
    np.cumsum([0, 33, 34, 33, 433, 33, 33, 34, 33, 34, 33, 33, 34, 33, 1033, 34, 33, 33, 12, 21, 34, 33]).tolist()
)
"""Frames at 30 fps in ms, with three gaps and one frame that comes early."""
RECORDING = Clip(frames=len(TIMES), fps=30, times=TIMES, gop=4, signal=sweep, audio_seconds=2.6)
VARIABLE = {
    "variable.mkv": RECORDING,
    "variable.mp4": RECORDING,
    "variable-bframes.mp4": replace(RECORDING, gop=250, options={"bf": "2"}),
    "variable.webm": replace(RECORDING, codec="libvpx-vp9", audio="libopus"),
    "variable.ts": replace(RECORDING, options={"bf": "2"}),
    "variable.avi": replace(RECORDING, codec="mpeg4", audio="pcm_s16le"),
}


@pytest.mark.parametrize("name", VARIABLE)
def test_plan_puts_frames_of_a_variable_rate_on_a_constant_clock(tmp_path: Path, name: str) -> None:
    if VARIABLE[name].codec not in av.codecs_available:
        pytest.skip(f"this PyAV cannot write {VARIABLE[name].codec}")
    path = write(tmp_path / name, VARIABLE[name])
    shown = reference(path)

    whole = decode(path)

    assert whole.fps == 30
    assert len(whole.warnings) == 1
    assert "rate varies" in whole.warnings[0]
    expected = shown_at(path, whole.fps, round((TIMES[-1] + 33) * 30 / 1000))
    assert same_frames(whole.images.numpy(), shown[expected])
    for options in (
        DecodeOptions(start_time=0.3),
        DecodeOptions(start_time=0.4, duration=1.1),
        DecodeOptions(max_frames=7),
        DecodeOptions(start_time=1.5, every_nth=4, max_frames=5),
        DecodeOptions(every_nth=9),
    ):
        first = round(options.start_time * 30)
        stop = first + round(options.duration * 30) if options.duration else len(expected)
        wanted = expected[first : stop : options.every_nth][: options.max_frames or None]

        found, alone = decode(path, options), decode(path, replace(options, want_images=False))

        assert same_frames(found.images.numpy(), shown[wanted])
        assert (found.frame_count, found.fps) == (len(wanted), Fraction(30, options.every_nth))
        assert (alone.frame_count, alone.fps) == (found.frame_count, found.fps)
        assert torch.equal(alone.last_frame, found.last_frame)
        if options.max_frames or options.duration:
            length = found.audio["waveform"].shape[-1] / found.audio["sample_rate"]
            assert length == pytest.approx(float(len(wanted) / found.fps), abs=1e-4)


def test_plan_of_a_variable_rate_counts_memory_by_what_is_returned(tmp_path: Path) -> None:
    path = write(tmp_path / "slides.mkv", Clip(frames=4, times=(0, 20_000, 41_000, 60_000), fps=30, audio=None))

    with pytest.raises(MemoryRefusedError, match=r"60\d frames of 96×64"):
        decode(path, DecodeOptions(want_audio=False), memory_limit=100 * MIB)
    found = decode(path, DecodeOptions(every_nth=10, want_audio=False), memory_limit=101 * MIB)

    assert (found.frame_count, found.fps) == (61, 1)
    assert same_frames(found.images.numpy(), reference(path)[[0] * 20 + [1] * 21 + [2] * 19 + [3]])


def test_plan_of_a_part_knows_the_rate_of_the_whole(tmp_path: Path) -> None:
    """The first 100 frames come at 30 fps, as the file says, and 300 more at 15."""
    times = (
        *(round(index * 1000 / 30) for index in range(100)),
        *(3333 + round(index * 1000 / 15) for index in range(300)),
    )
    path = write(tmp_path / "two.mkv", Clip(frames=400, times=times, fps=30, audio=None, colour=(9, 90, 200)))

    whole, part = decode(path), decode(path, DecodeOptions(max_frames=10))

    assert whole.fps == part.fps == 15
    assert torch.equal(whole.images[:10], part.images)


def test_upload_of_a_variable_rate_has_the_frames_and_the_audio_of_decode(tmp_path: Path) -> None:
    times = [round(at * 600 / 1000) for at in TIMES]
    path = write_clip(tmp_path / "phone.mkv", frames=len(times), pts=times, audio=2.6)
    expected = shown_at(path, Fraction(30), 63)

    file = encode_clip(FileVideo(str(path)), limits.CLIP, directory=tmp_path)

    seen = reread(file.path)
    assert seen.fps == 30
    assert seen.greys == pytest.approx([grey(index, len(times)) for index in expected], abs=4)
    assert sum("rate varies" in note for note in file.notes) == 1
    assert audio_of(file.path)[0].shape[1] / 48_000 == pytest.approx(len(expected) / 30, abs=0.05)
