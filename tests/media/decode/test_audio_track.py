from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest

from nodes.core.limits import CLIP
from nodes.media.clip.encode import encode_clip
from nodes.media.decode.decode import Decoded, DecodeOptions, decode
from nodes.media.decode.memory import MIB, MemoryRefusedError
from nodes.media.decode.tensors import decode_tensors
from tests.media.comfyui_inputs import FileVideo
from tests.media_files import Clip, without_decoder, write, write_timed
from tests.media_reading import audio_of

RATE, FPS = 48000, 30


def make(
    path: Path,
    *,
    frame_times: tuple[float, ...],
    audio_spans: tuple[tuple[float, float], ...],
    click: float = 9,
    fps: int = FPS,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
) -> Path:
    """Write a frame at each time, white from `click` on, and audio from and to each pair of times, loud at `click`."""

    def piece(start: float, stop: float) -> np.ndarray:
        samples = np.zeros((1, round((stop - start) * RATE)), np.float32)
        samples[0, max(0, round((click - start) * RATE)) :][:200] = 0.9
        return samples

    images = [(time, np.full((size[1], size[0], 3), 255 * (time > click - 1e-6), np.uint8)) for time in frame_times]
    audio = [(start, piece(start, stop)) for start, stop in audio_spans]
    name = "mp2" if path.suffix == ".mpg" else "aac"
    return write_timed(path, images=images, audio=audio, fps=fps, layout="mono", codec=name, video_codec=codec)


def run(start: float, stop: float) -> tuple[float, ...]:
    return tuple(index / FPS for index in range(round(start * FPS), round(stop * FPS)))


def wave(found: Decoded) -> np.ndarray:
    assert found.audio is not None
    return found.audio["waveform"].numpy()[0, 0]


def late_by(found: Decoded) -> float:
    """Return the seconds that the click comes after the white frame in the result."""
    assert found.images is not None
    white = int(np.argmax(found.images.numpy().mean((1, 2, 3)) > 0.5)) / float(found.fps)
    return int(np.argmax(np.abs(wave(found)) > 0.3)) / RATE - white


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
@pytest.mark.parametrize("hours", [1, 10])
def test_audio_track_makes_no_hours_of_silence_of_a_time_far_ahead(tmp_path: Path, ending: str, hours: int) -> None:
    path = make(
        tmp_path / f"far.{ending}", frame_times=run(0, 1), audio_spans=((0, 1), (hours * 3600, hours * 3600 + 1))
    )

    found = decode(path)

    assert wave(found).size <= 2.1 * RATE
    assert any("long after the last frame" in warning for warning in found.warnings)


def test_audio_track_starts_at_once_if_all_times_are_far_ahead(tmp_path: Path) -> None:
    path = make(tmp_path / "far.mkv", frame_times=run(0, 1), audio_spans=((3600, 3601),))

    assert wave(decode(path)).size <= 1.1 * RATE


def test_audio_track_keeps_a_pause_between_frames_and_counts_its_memory(tmp_path: Path) -> None:
    path = make(tmp_path / "pause.mkv", frame_times=(0.0, 599.0), audio_spans=((0, 1), (598, 599)))

    assert wave(decode(path, DecodeOptions(want_images=False))).size == pytest.approx(599 * RATE, abs=2048)
    # Of two frames and two seconds of audio; the silence between is 110 MiB more, as pieces and as one waveform.
    with pytest.raises(MemoryRefusedError, match="219 MiB for the audio"):
        decode(path, DecodeOptions(every_nth=5990), memory_limit=150 * MIB)


@pytest.mark.parametrize("ending", ["mkv", "ts"])
@pytest.mark.parametrize(
    ("video_start", "audio_start"),
    [(0.0, 0.08), (0.0, 0.3), (2 / FPS, 0.0), (0.0, 0.0)],
    ids=["80ms", "300ms", "early", "at 0"],
)
def test_audio_track_of_a_part_stays_in_step_with_the_frames(
    tmp_path: Path, ending: str, video_start: float, audio_start: float
) -> None:
    path = make(tmp_path / f"apart.{ending}", frame_times=run(video_start, 2), audio_spans=((audio_start, 2),), click=1)

    for options in (DecodeOptions(duration=1.5), DecodeOptions(max_frames=45), DecodeOptions(start_time=0.5)):
        found = decode(path, options)

        assert abs(late_by(found)) < 0.002
        if not options.start_time:
            # Matroska rounds the last frame's time to 1 ms.
            assert abs(wave(found).size - 1.5 * RATE) <= (0 if options.duration else 0.001 * RATE)


@pytest.mark.parametrize(("fps", "start"), [(1, 1.3), (1, 2.9), (10, 1.55)], ids=["1 fps", "1 fps late", "10 fps"])
def test_audio_track_begins_with_the_first_frame_after_a_start_between_two(
    tmp_path: Path, fps: int, start: float
) -> None:
    times = tuple(index / fps for index in range(6 * fps))
    path = make(tmp_path / "slow.mkv", frame_times=times, audio_spans=((0, 6),), click=4, fps=fps)
    whole = decode(path)
    assert whole.fps == fps

    for options in (
        DecodeOptions(start_time=start),
        DecodeOptions(start_time=start, duration=3),
        DecodeOptions(start_time=start, max_frames=3 * fps),
    ):
        for found in (decode(path, options), decode_tensors(whole.images, whole.audio, whole.fps, options)):
            assert abs(late_by(found)) < 0.002
            if seconds := options.duration or options.max_frames / fps:
                assert wave(found).size == pytest.approx(seconds * RATE, abs=2)


@pytest.mark.parametrize("begin", [0, 60, 3600], ids=["set back", "a minute ahead", "an hour ahead"])
def test_audio_track_follows_the_clock_of_each_part_of_a_joined_file(tmp_path: Path, begin: int) -> None:
    first = make(tmp_path / "a.ts", frame_times=run(0, 2), audio_spans=((0, 2),))
    second = make(
        tmp_path / "b.ts", frame_times=run(begin, begin + 2), audio_spans=((begin + 0.8, begin + 2),), click=begin + 1
    )
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())

    for options in (DecodeOptions(), DecodeOptions(start_time=2.5), DecodeOptions(duration=3.5)):
        found = decode(path, options)

        assert found.frame_count == (options.duration or 4 - options.start_time) * FPS
        assert abs(late_by(found)) < 0.002
        assert found.warnings == ()
    file = encode_clip(FileVideo(str(path)), CLIP, directory=tmp_path)
    sent, rate = audio_of(file.path)
    assert np.abs(sent[0]).argmax() / rate == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("late", [0.02, 0.08, 0.3])
def test_audio_track_that_begins_late_stays_late(tmp_path: Path, late: float) -> None:
    found = decode(make(tmp_path / "late.mkv", frame_times=run(0, 2), audio_spans=((late, 2),), click=1))

    assert abs(late_by(found)) < 0.002


@pytest.mark.parametrize("ending", ["mkv", "mp4", "ts"])
@pytest.mark.parametrize("early", [2, 36], ids=["67ms", "1.2s"])
def test_audio_track_of_a_whole_file_begins_with_its_first_frame(tmp_path: Path, ending: str, early: int) -> None:
    path = make(tmp_path / f"early.{ending}", frame_times=run(early / FPS, 3), audio_spans=((0, 3),), click=2)

    found = decode(path)

    assert abs(late_by(found)) < 0.002
    assert found.frame_count == 3 * FPS - early
    assert wave(found).size == pytest.approx(RATE * found.frame_count / FPS, abs=2048)
    assert ["s before the first frame" in warning for warning in found.warnings] == [True] * (early > 3)


@pytest.mark.parametrize("ending", ["ts", "mpg"])
def test_audio_track_that_begins_after_the_first_probe_is_found(tmp_path: Path, ending: str) -> None:
    if ending == "mpg" and av.library_versions["libavformat"] < (62, 0, 0):
        pytest.skip("this PyAV crashes on program streams, so they are refused")
    path = make(
        tmp_path / f"late.{ending}",
        frame_times=run(0, 12),
        audio_spans=((11, 12),),
        click=11.5,
        codec="mpeg2video" if ending == "mpg" else "libx264",
    )

    found = decode(path)

    assert found.frame_count == 12 * FPS
    assert not found.silent
    assert abs(late_by(found)) < 0.002
    file = encode_clip(FileVideo(str(path)), CLIP, directory=tmp_path)
    sent, rate = audio_of(file.path)
    assert np.abs(sent[0]).argmax() / rate == pytest.approx(9.5, abs=0.01)


@pytest.mark.parametrize("video", [True, False], ids=["all", "audio alone"])
def test_audio_track_without_a_decoder_is_silence_and_told(tmp_path: Path, video: bool) -> None:
    path = without_decoder(write(tmp_path / "phone.mp4", Clip(size=(240, 240), frames=30)))

    found = decode(path, DecodeOptions(want_images=video, want_last_frame=video))

    assert found.silent
    assert not wave(found).any()
    assert len(found.warnings) == 1
    assert "phone.mp4: its audio track cannot be read" in found.warnings[0]
    file = encode_clip(FileVideo(str(path), (0.5, 2.5)), CLIP, directory=tmp_path)
    assert any("audio track cannot be read" in note for note in file.notes)


def test_audio_track_of_a_clip_that_is_encoded_begins_with_its_first_frame(tmp_path: Path) -> None:
    path = make(tmp_path / "early.mkv", frame_times=run(2, 5), audio_spans=((0, 5),), click=3, size=(240, 240))

    file = encode_clip(FileVideo(str(path)), CLIP, directory=tmp_path)

    sent, rate = audio_of(file.path)
    assert np.abs(sent[0]).argmax() / rate == pytest.approx(1, abs=0.01)
    # FFmpeg 7 counts the priming of the audio as well.
    assert any(re.search(r"begins 2\.0[02] s before the first frame", note) for note in file.notes)
