from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from nodes.media.decode.memory import MARGIN_BYTES
from nodes.media.files import MediaCancelled, MediaError
from nodes.media.join.film import JoinOptions
from nodes.media.join.join import join_videos
from tests.media.comfyui_inputs import FileVideo, VideoFromComponents, tone
from tests.media.shots import FPS, SIZE, ending_early, file, join, loudness, packets, scene, shot, steady, three_shots
from tests.media_files import Clip, Pixels, melody, write
from tests.media_reading import audio_of, frames_of, psnr, reference, reread, times_of
from tests.systems import refuse_deletions


@pytest.fixture
def shots(tmp_path: Path) -> list[FileVideo]:
    return three_shots(tmp_path)


def test_join_of_alike_shots_copies_every_packet_and_shows_it_at_its_time(
    shots: list[FileVideo], tmp_path: Path
) -> None:
    film, path = join(shots, tmp_path)
    assert (film.copied, film.frames, film.seconds) == (True, [FPS] * 3, 3)
    assert packets(path) == [data for video in shots for data in packets(file(video))]
    assert times_of(path) == pytest.approx([index / FPS for index in range(3 * FPS)], abs=1e-4)
    assert np.array_equal(reference(path), np.concatenate([reference(file(v)) for v in shots]))


@pytest.mark.parametrize("options", [{}, {"match_colors": True}], ids=["copied", "encoded"])
def test_join_at_a_cut_has_no_click_and_no_hole_in_the_audio(
    options: dict[str, Any], shots: list[FileVideo], tmp_path: Path
) -> None:
    _, path = join(shots, tmp_path, **options)
    samples, rate = audio_of(path)
    own = max(float(np.abs(np.diff(audio_of(file(v))[0])).max()) for v in shots)
    for seam in (1, 2):
        around = samples[0, seam * rate - rate // 20 : seam * rate + rate // 20]
        assert np.abs(np.diff(around)).max() <= 1.2 * own
        quiet = np.abs(around) < 0.01
        runs = np.diff(np.flatnonzero(np.concatenate([[True], ~quiet, [True]])))
        assert runs.max() <= rate // 1000
    length = reread(path).audio_seconds
    assert length == pytest.approx(3, abs=1 / FPS)


@pytest.mark.parametrize("missing", [0.0, 0.06], ids=["whole audio", "short audio"])
@pytest.mark.parametrize("form", [(Fraction(FPS), FPS), (Fraction(30_000, 1001), 31)], ids=["30", "ntsc"])
@pytest.mark.parametrize("options", [{}, {"match_colors": True}], ids=["copied", "encoded"])
def test_join_has_no_click_if_audio_does_not_fill_the_last_frame(
    options: dict[str, Any], form: tuple[Fraction, int], missing: float, tmp_path: Path
) -> None:
    (fps, count), shots = form, []
    for number in range(3):
        signal = ending_early(steady(300 + 90 * number), missing)
        made = {"signal": signal, "audio": "pcm_s16le", "fps": fps, "frames": count}  # AAC would end with a drop
        shots.append(shot(tmp_path / f"{number}.mov", scene(number * FPS), **made))
    film, path = join(shots, tmp_path, **options)
    assert film.copied == (not options)
    samples, rate = audio_of(path)
    own = 0.5 * 2 * np.pi * 480 / rate
    for seam in (1, 2):
        at = round(seam * count / fps * rate)
        around = samples[0, at - rate // 8 : at + rate // 20]
        assert np.abs(np.diff(around)).max() <= 1.2 * own
        quiet = np.abs(around) < 0.01
        runs = np.diff(np.flatnonzero(np.concatenate([[True], ~quiet, [True]])))
        assert runs.max() <= rate // 1000
    assert reread(path).audio_seconds == pytest.approx(3 * count / fps, abs=1 / FPS)
    assert film.notes == []


@pytest.mark.parametrize("options", [{}, {"match_colors": True}], ids=["copied", "encoded"])
def test_join_fades_out_audio_that_ends_long_before_its_frames(options: dict[str, Any], tmp_path: Path) -> None:
    shots = [
        shot(tmp_path / f"{n}.mov", scene(n * FPS), signal=ending_early(steady(440), missing), audio="pcm_s16le")
        for n, missing in enumerate((0.4, 0.0))
    ]
    film, path = join(shots, tmp_path, **options)
    samples, rate = audio_of(path)
    assert np.abs(np.diff(samples[0, rate // 4 : rate * 7 // 4])).max() <= 1.2 * 0.5 * 2 * np.pi * 440 / rate
    assert loudness(path, 0.3) > 0.4
    assert loudness(path, 0.7) < 0.01
    [note] = film.notes
    assert note.startswith("Shot 1: its audio ends 0.") and note.endswith(" s before its frames; the rest is silent.")


def test_join_counts_the_frames_of_trimmed_shots_at_another_rate(tmp_path: Path) -> None:
    first = shot(tmp_path / "a.mp4", scene(0), fps=24, frames=24)
    part = FileVideo(str(file(shot(tmp_path / "b.mp4", scene(FPS)))), window=(0.05, 0.9))
    film, path = join([first] + [part] * 6, tmp_path)
    assert film.total == sum(film.frames) == len(frames_of(path))
    assert reread(path).audio_seconds == pytest.approx(float(film.seconds), abs=1 / 24)


def test_join_keeps_every_shots_audio_at_its_frames(shots: list[FileVideo], tmp_path: Path) -> None:
    _, path = join(shots, tmp_path)
    samples, rate = audio_of(path)
    for number in range(3):
        middle = samples[0, int((number + 0.3) * rate) : int((number + 0.7) * rate)]
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
        assert spectrum.argmax() * rate / len(middle) == pytest.approx(300 + 90 * number, abs=4)


def test_join_takes_the_form_of_the_first_shot(shots: list[FileVideo], tmp_path: Path) -> None:
    other = write(tmp_path / "other.mkv", Clip(size=(96, 96), frames=20, fps=20, rate=44_100, layout="mono"))
    silent = write(tmp_path / "silent.mp4", Clip(size=SIZE, frames=15, fps=15, audio=None))
    tensors = VideoFromComponents(torch.full((12, 96, 160, 3), 0.5), 12, tone(1.0, 32_000, 1))
    film, path = join([shots[0], FileVideo(str(other)), FileVideo(str(silent)), tensors], tmp_path)
    found = reread(path)
    assert not film.copied
    assert "shot 2" in film.reason
    assert (found.size, found.fps, found.channels, found.audio_rate) == (SIZE, FPS, 2, 48_000)
    assert film.frames == [FPS] * 4
    assert len(found.greys) == 4 * FPS
    assert found.gaps == {Fraction(1, FPS)}
    assert found.audio_seconds == pytest.approx(4, abs=1 / FPS)
    bars = frames_of(path)[45]
    assert bars[:, :28].mean() < 4 and bars[:, -28:].mean() < 4 < bars[:, 40:120].mean()
    samples, rate = audio_of(path)
    loud = [float(np.abs(samples[:, int((n + 0.3) * rate) : int((n + 0.7) * rate)]).max()) for n in range(4)]
    assert loud[2] < 0.001
    assert min(loud[0], loud[1], loud[3]) > 0.4


def test_join_drops_a_repeated_first_frame(tmp_path: Path) -> None:
    first = shot(tmp_path / "a.mp4", scene(0))
    second = shot(tmp_path / "b.mp4", scene(FPS - 1, add=4))  # begins with the last frame, a little brighter
    third = shot(tmp_path / "c.mp4", scene(2 * FPS - 1))  # goes on with the next frame
    film, path = join([first, second, third], tmp_path, drop_repeated=True)
    assert [seam.dropped for seam in film.seams] == [True, False]
    assert film.frames == [FPS, FPS - 1, FPS]
    frames = frames_of(path)
    assert len(frames) == 3 * FPS - 1
    for index in (FPS - 1, FPS, 2 * FPS - 2, 2 * FPS - 1):
        wanted = scene(0)(Clip(size=SIZE), index).astype(np.float64)
        assert np.abs(frames[index] - frames[index].mean() - (wanted - wanted.mean())).mean() < 3, index
    assert reread(path).audio_seconds == pytest.approx(float(film.seconds), abs=1 / FPS)


def test_join_with_a_crossfade_overlaps_frames_and_audio(shots: list[FileVideo], tmp_path: Path) -> None:
    film, path = join(shots, tmp_path, crossfade_seconds=0.5)
    assert film.seconds == 2
    frames = frames_of(path)
    assert len(frames) == 2 * FPS
    one, two = (frames_of(file(video)) for video in shots[:2])
    share = 8 / 16
    wanted = one[22] * (1 - share) + two[7] * share
    assert psnr(frames[22], wanted.round().astype(np.uint8)) > 33
    assert psnr(frames[5], one[5]) > 33
    assert reread(path).audio_seconds == pytest.approx(2, abs=1 / FPS)
    assert np.abs(audio_of(path)[0]).max() <= 1.0


def test_join_matches_colors_at_the_seam_and_returns_to_the_shots_own(tmp_path: Path) -> None:
    first, second = shot(tmp_path / "a.mp4", scene(0)), shot(tmp_path / "b.mp4", scene(FPS, add=20), frames=3 * FPS)
    film, path = join([first, second], tmp_path, match_colors=True)
    step = film.seams[0].color_step
    assert step is not None
    assert step[0] > 12 and step[1] < 2
    frames = frames_of(path)
    own = frames_of(file(second))
    means = [float(frame.mean()) for frame in frames]
    assert abs(means[FPS] - means[FPS - 1]) < 3
    assert max(abs(later - earlier) for earlier, later in pairwise(means)) < 3
    assert means[-1] == pytest.approx(own[-1].mean(), abs=1.5)


def test_join_takes_the_part_that_a_video_was_cut_to(shots: list[FileVideo], tmp_path: Path) -> None:
    part = FileVideo(str(file(shots[1])), window=(0.5, 0.3))
    film, path = join([shots[0], part], tmp_path)
    assert (film.copied, film.frames) == (False, [30, 9])
    wanted = frames_of(file(shots[1]))[15:24]
    assert all(psnr(frame, other) > 33 for frame, other in zip(frames_of(path)[30:], wanted, strict=True))


def test_join_of_one_shot_is_that_shot(shots: list[FileVideo], tmp_path: Path) -> None:
    film, path = join(shots[:1], tmp_path, crossfade_seconds=2.0, drop_repeated=True)
    assert (film.seconds, film.copied) == (1, True)
    assert len(frames_of(path)) == FPS


def test_join_crossfades_shots_as_long_as_the_crossfade(shots: list[FileVideo], tmp_path: Path) -> None:
    film, path = join(shots, tmp_path, crossfade_seconds=1.0)
    assert (film.frames, film.seconds) == ([FPS] * 3, 1)
    assert len(frames_of(path)) == FPS
    assert reread(path).audio_seconds == pytest.approx(1, abs=1 / FPS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"crossfade_seconds": 1.5}, r"Shot 1 of 3 has 30 frames at 30 fps\. A crossfade of 1\.5 s needs 45\. Lower"),
        (
            {"crossfade_seconds": 1.0, "drop_repeated": True},
            r"Shot 2 of 3 has 30 frames at 30 fps\. A crossfade of 1 s needs 30 and one more, as drop_repeated may",
        ),
    ],
    ids=["too short", "one frame too short"],
)
def test_join_refuses_a_shot_shorter_than_the_crossfade(
    options: dict[str, Any], words: str, shots: list[FileVideo], tmp_path: Path
) -> None:
    with pytest.raises(MediaError, match=words):
        join(shots, tmp_path, **options)


def test_join_refuses_frames_that_do_not_fit_into_memory(shots: list[FileVideo], tmp_path: Path) -> None:
    needed = (2 * 15 + 90) * 160 * 96 * 3 // 2
    for options, limit in ((JoinOptions(), 0), (JoinOptions(crossfade_seconds=0.5), needed + MARGIN_BYTES)):
        join_videos(shots, tmp_path / "film.mp4", options, memory_limit=limit)
    with pytest.raises(MediaError, match=r"frames of 160×96 px, 15 of them for the crossfade; .* Lower crossfade_"):
        join_videos(
            shots, tmp_path / "film.mp4", JoinOptions(crossfade_seconds=0.5), memory_limit=needed + MARGIN_BYTES - 1
        )
    assert not (tmp_path / "film.mp4").exists()


def test_join_names_the_shot_that_cannot_be_read(shots: list[FileVideo], tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(MediaError, match=r"Shot 2 of 2: bad\.mp4 cannot be opened"):
        join([shots[0], FileVideo(str(tmp_path / "bad.mp4"))], tmp_path)


@pytest.mark.parametrize("options", [{}, {"crossfade_seconds": 0.2}], ids=["copied", "encoded"])
@pytest.mark.parametrize(
    "is_pressed",
    [lambda done: len(done) > 40, lambda done: done[-1:] == [90]],
    ids=["in the middle", "after the last frame"],
)
def test_join_interrupted_leaves_no_file(
    is_pressed: Callable[[list[int]], bool], options: dict[str, Any], shots: list[FileVideo], tmp_path: Path
) -> None:
    done: list[int] = []
    with pytest.raises(MediaCancelled):
        join_videos(
            shots,
            tmp_path / "film.mp4",
            JoinOptions(**options),
            cancelled=lambda: is_pressed(done),
            on_progress=lambda count, total: done.append(count),
        )
    assert not (tmp_path / "film.mp4").exists()


def test_join_interrupted_is_no_other_error_if_the_film_cannot_be_deleted(
    shots: list[FileVideo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    refuse_deletions(monkeypatch)
    with pytest.raises(MediaCancelled):
        join_videos(
            shots,
            tmp_path / "film.mp4",
            JoinOptions(),
            cancelled=lambda: len(done) > 40,
            on_progress=lambda count, total: done.append(count),
        )


def test_join_interrupted_while_it_looks_at_the_shots_looks_at_no_other(shots: list[FileVideo], tmp_path: Path) -> None:
    steps: list[str] = []
    with pytest.raises(MediaCancelled):
        join_videos(
            shots, tmp_path / "film.mp4", JoinOptions(), cancelled=lambda: len(steps) == 2, on_step=steps.append
        )
    assert steps == ["Reading shot 1 of 3", "Reading shot 2 of 3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shot_0.mp4", "shot_1.mp4", "shot_2.mp4"]


def test_join_says_what_it_is_doing(shots: list[FileVideo], tmp_path: Path) -> None:
    reading = [f"Reading shot {n} of 2" for n in (1, 2)]
    for options, work in (
        (JoinOptions(), ["Copying 2 shots"]),
        (JoinOptions(match_colors=True), ["Encoding shot 1 of 2", "Encoding shot 2 of 2"]),
    ):
        steps: list[str] = []
        join_videos(shots[:2], tmp_path / "film.mp4", options, on_step=steps.append)
        assert steps == reading + work


def test_join_reports_progress_up_to_the_last_frame(shots: list[FileVideo], tmp_path: Path) -> None:
    for options in (JoinOptions(), JoinOptions(match_colors=True)):
        told: list[tuple[int, int]] = []
        join_videos(shots, tmp_path / "film.mp4", options, on_progress=lambda *done, told=told: told.append(done))
        assert told[-1] == (90, 90)


def test_join_of_many_shots_keeps_audio_and_frames_together(tmp_path: Path) -> None:
    """44.1 kHz and 24 fps do not divide: rounding must not add up."""

    def flash(clip: Clip, index: int) -> Pixels:
        return np.full((clip.size[1], clip.size[0], 3), 230 if index == 2 else 20, np.uint8)

    def beep(channels: int, rate: int, seconds: float) -> np.ndarray:
        samples = np.zeros((channels, round(seconds * rate)), np.float32)
        start, end = round(2 / 24 * rate), round(3 / 24 * rate)
        samples[:, start:end] = 0.7 * np.sin(np.arange(end - start) * 0.3)
        return samples

    one = write(tmp_path / "one.mp4", Clip(size=SIZE, frames=7, fps=24, rate=44_100, draw=flash, signal=beep))
    _, path = join([FileVideo(str(one))] * 20, tmp_path, match_colors=True)
    flashes = [index / 24 for index, grey in enumerate(reread(path).greys) if grey > 120]
    samples, rate = audio_of(path)
    loud = np.abs(samples[0]) > 0.2
    starts = [i / rate for i in np.flatnonzero(loud) if not loud[max(0, i - 1000) : i].any()]
    assert len(flashes) == len(starts) == 20
    assert max(abs(light - sound) for light, sound in zip(flashes, starts, strict=True)) < 1 / 48


def test_join_copies_a_melody_without_changing_its_length(tmp_path: Path) -> None:
    def signal(channels: int, rate: int, seconds: float) -> np.ndarray:
        return melody(seconds, rate=rate)

    videos = [shot(tmp_path / f"{n}.mp4", scene(0), signal=signal) for n in range(2)]
    _, path = join(videos, tmp_path)
    samples, rate = audio_of(path)
    source, _ = audio_of(file(videos[0]))
    for start in (0, rate):
        piece = slice(rate // 4, rate // 2)
        assert psnr(samples[:, start:][:, piece], source[:, piece]) > 25


def test_join_keeps_the_loudness_of_every_shot(tmp_path: Path) -> None:
    def burst(channels: int, rate: int, seconds: float) -> np.ndarray:
        samples = steady(440)(channels, rate, seconds)
        samples[:, rate // 2 : rate * 6 // 10] *= 3
        return samples

    quiet = shot(tmp_path / "a.mp4", scene(0), signal=steady(440))
    loud = shot(tmp_path / "b.mp4", scene(FPS), signal=burst)
    _, path = join([quiet, loud], tmp_path, match_colors=True)
    assert loudness(path, 0.2) == pytest.approx(0.5, abs=0.05)
    assert loudness(path, 1.2) == pytest.approx(0.5, abs=0.05)


def test_join_turns_all_shots_down_if_frames_in_memory_have_audio_above_full_scale(tmp_path: Path) -> None:
    audio = tone(1.0)
    audio["waveform"] = audio["waveform"].clone()
    audio["waveform"][..., 24_000:28_800] *= 4
    loud = VideoFromComponents(torch.full((FPS, 96, 160, 3), 0.5), FPS, audio)
    film, path = join([shot(tmp_path / "a.mp4", scene(0), signal=steady(440)), loud], tmp_path)
    assert loudness(path, 0.2) == pytest.approx(0.25, abs=0.03)
    assert loudness(path, 1.2) == pytest.approx(0.25, abs=0.03)
    assert loudness(path, 1.4) == pytest.approx(1.0, abs=0.05)
    assert any("turned down by 6.0 dB" in note for note in film.notes)


def test_join_returns_to_the_colors_of_a_shot_that_is_short(tmp_path: Path) -> None:
    first, second = shot(tmp_path / "a.mp4", scene(0)), shot(tmp_path / "b.mp4", scene(FPS, add=20))
    _, path = join([first, second], tmp_path, match_colors=True)
    assert frames_of(path)[-1].mean() == pytest.approx(frames_of(file(second))[-1].mean(), abs=1.5)


def test_join_tells_what_it_changes_in_a_shot(shots: list[FileVideo], tmp_path: Path) -> None:
    other = write(tmp_path / "other.mkv", Clip(size=(96, 96), frames=20, fps=20, audio=None))
    hdr = shot(tmp_path / "hdr.mp4", scene(0), colours={"color_trc": 18, "color_primaries": 9, "colorspace": 9})
    film, _ = join([shots[0], FileVideo(str(other)), hdr], tmp_path)
    assert film.notes == [
        "Shot 2: scaled from 96×96 to 160×96 px, with black bars.",
        "Shot 2: 20 frames per second become 30.",
        "Shot 2: it is silent: it has no audio.",
        "Shot 3: converted from HLG (HDR) to SDR.",
    ]


@pytest.mark.parametrize("options", [{}, {"match_colors": True}], ids=["copied", "encoded"])
def test_join_tells_that_a_shot_was_cut_off(options: dict[str, Any], shots: list[FileVideo], tmp_path: Path) -> None:
    path = file(shot(tmp_path / "cut.mp4", scene(FPS), gop=1, mux={"movflags": "faststart"}))
    with av.open(str(path)) as container:
        begins = [packet.pos for packet in container.demux(video=0) if packet.size]
    path.write_bytes(path.read_bytes()[: begins[20]])
    film, _ = join([shots[0], FileVideo(str(path))], tmp_path, **options)
    assert film.notes == ["Shot 2: the file is cut off: its header counts 30 frames, it ends after frame 19."]
    assert film.frames == [FPS, 20]


@pytest.mark.parametrize("options", [{}, {"match_colors": True}], ids=["copied", "encoded"])
def test_join_tells_that_audio_is_damaged(options: dict[str, Any], shots: list[FileVideo], tmp_path: Path) -> None:
    data = bytearray(file(shots[1]).read_bytes())
    with av.open(str(file(shots[1]))) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    for at, size in places[20:23]:
        data[at : at + size] = b"\xff" * size
    file(shots[1]).write_bytes(data)
    film, _ = join(shots, tmp_path, **options)
    assert film.copied == (not options)
    [note] = film.notes
    assert note.startswith("Shot 2: the file is damaged: 3 pieces of its audio could not be decoded.")


def test_join_keeps_a_shot_of_one_frame(tmp_path: Path) -> None:
    first, third = shot(tmp_path / "a.mp4", scene(0)), shot(tmp_path / "c.mp4", scene(FPS))
    single = shot(tmp_path / "b.mp4", scene(FPS - 1), frames=1)
    film, _ = join([first, single, third], tmp_path, drop_repeated=True, match_colors=True)
    assert film.frames == [FPS, 1, FPS]
