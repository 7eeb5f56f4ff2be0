from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from nodes.media.files import MediaCancelled, MediaError
from nodes.media.join.join import Film, JoinOptions, join_videos
from tests.media.comfyui_inputs import FileVideo, VideoFromComponents, tone
from tests.media_files import Clip, Pixels, melody, write
from tests.media_reading import audio_of, frames_of, psnr, reference, reread, times_of

FPS = 30
SIZE = (160, 96)


@cache
def _texture() -> np.ndarray:
    noise = torch.tensor(np.random.default_rng(5).integers(40, 200, (3, 96, 480)), dtype=torch.float32)
    return np.asarray(torch.nn.functional.avg_pool2d(noise, 9, 1, 4).permute(1, 2, 0))


def scene(start: int, *, add: int = 0) -> Callable[[Clip, int], Pixels]:
    """Return how to draw a camera that moves two pixels a frame over a texture, from frame `start` on."""

    def draw(clip: Clip, index: int) -> Pixels:
        left = 2 * (start + index)
        width, height = clip.size
        part = _texture()[:height, left : left + width]
        return np.clip(np.ascontiguousarray(part) + add, 0, 255).astype(np.uint8)

    return draw


def shot(path: Path, draw: Callable[[Clip, int], Pixels], **changes: Any) -> FileVideo:
    clip = {"size": SIZE, "frames": FPS, "fps": FPS, "draw": draw, "options": {"crf": "12"}, **changes}
    return FileVideo(str(write(path, Clip(**clip))))


@pytest.fixture
def shots(tmp_path: Path) -> list[FileVideo]:
    """Three shots of a second each, alike. Each goes on where the one before ended."""
    return [shot(tmp_path / f"shot_{n}.mp4", scene(n * FPS), signal=_tone(300 + 90 * n)) for n in range(3)]


def _tone(hertz: float) -> Callable[[int, int, float], np.ndarray]:
    def signal(channels: int, rate: int, seconds: float) -> np.ndarray:
        time = np.arange(round(seconds * rate)) / rate
        return np.repeat(0.5 * np.cos(2 * np.pi * hertz * time)[None], channels, 0).astype(np.float32)

    return signal


def join(shots: list[Any], tmp_path: Path, **options: Any) -> tuple[Film, Path]:
    path = tmp_path / "film.mp4"
    return join_videos(shots, path, JoinOptions(**options)), path


def packets(path: Path | str) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_join_of_alike_shots_copies_every_packet_and_shows_it_at_its_time(
    shots: list[FileVideo], tmp_path: Path
) -> None:
    film, path = join(shots, tmp_path)
    assert (film.copied, film.frames, film.seconds) == (True, [FPS] * 3, 3)
    assert packets(path) == [data for video in shots for data in packets(video.get_stream_source())]
    assert times_of(path) == pytest.approx([index / FPS for index in range(3 * FPS)], abs=1e-4)
    assert np.array_equal(reference(path), np.concatenate([reference(Path(str(v.get_stream_source()))) for v in shots]))


@pytest.mark.parametrize("options", [{}, {"match_colors": True}], ids=["copied", "encoded"])
def test_join_at_a_cut_has_no_click_and_no_hole_in_the_audio(
    options: dict[str, Any], shots: list[FileVideo], tmp_path: Path
) -> None:
    _, path = join(shots, tmp_path, **options)
    samples, rate = audio_of(path)
    own = max(float(np.abs(np.diff(audio_of(Path(str(v.get_stream_source())))[0])).max()) for v in shots)
    for seam in (1, 2):
        around = samples[0, seam * rate - rate // 20 : seam * rate + rate // 20]
        assert np.abs(np.diff(around)).max() <= 1.2 * own
        quiet = np.abs(around) < 0.01
        runs = np.diff(np.flatnonzero(np.concatenate([[True], ~quiet, [True]])))
        assert runs.max() <= rate // 1000
    length = reread(path).audio_seconds
    assert length == pytest.approx(3, abs=1 / FPS)


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
    one, two = (frames_of(Path(str(video.get_stream_source()))) for video in shots[:2])
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
    own = frames_of(Path(str(second.get_stream_source())))
    means = [float(frame.mean()) for frame in frames]
    assert abs(means[FPS] - means[FPS - 1]) < 3
    assert max(abs(later - earlier) for earlier, later in pairwise(means)) < 3
    assert means[-1] == pytest.approx(own[-1].mean(), abs=1.5)


def test_join_takes_the_part_that_a_video_was_cut_to(shots: list[FileVideo], tmp_path: Path) -> None:
    part = FileVideo(str(shots[1].get_stream_source()), window=(0.5, 0.3))
    film, path = join([shots[0], part], tmp_path)
    assert (film.copied, film.frames) == (False, [30, 9])
    wanted = frames_of(Path(str(shots[1].get_stream_source())))[15:24]
    assert all(psnr(frame, other) > 33 for frame, other in zip(frames_of(path)[30:], wanted, strict=True))


def test_join_of_one_shot_is_that_shot(shots: list[FileVideo], tmp_path: Path) -> None:
    film, path = join(shots[:1], tmp_path, crossfade_seconds=2.0, drop_repeated=True)
    assert (film.seconds, film.copied) == (1, True)
    assert len(frames_of(path)) == FPS


def test_join_refuses_a_shot_shorter_than_the_crossfade(shots: list[FileVideo], tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"Shot 1 of 3 lasts 1 s, less than the crossfade of 1.5 s\. Lower"):
        join(shots, tmp_path, crossfade_seconds=1.5)


def test_join_names_the_shot_that_cannot_be_read(shots: list[FileVideo], tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(MediaError, match=r"Shot 2 of 2: bad\.mp4 cannot be opened"):
        join([shots[0], FileVideo(str(tmp_path / "bad.mp4"))], tmp_path)


@pytest.mark.parametrize("options", [{}, {"crossfade_seconds": 0.2}], ids=["copied", "encoded"])
def test_join_interrupted_leaves_no_file(options: dict[str, Any], shots: list[FileVideo], tmp_path: Path) -> None:
    done: list[int] = []
    with pytest.raises(MediaCancelled):
        join_videos(
            shots,
            tmp_path / "film.mp4",
            JoinOptions(**options),
            cancelled=lambda: len(done) > 40,
            on_progress=lambda count, total: done.append(count),
        )
    assert not (tmp_path / "film.mp4").exists()


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
    source, _ = audio_of(Path(str(videos[0].get_stream_source())))
    for start in (0, rate):
        piece = slice(rate // 4, rate // 2)
        assert psnr(samples[:, start:][:, piece], source[:, piece]) > 25


def test_join_keeps_the_loudness_of_every_shot(tmp_path: Path) -> None:
    def burst(channels: int, rate: int, seconds: float) -> np.ndarray:
        samples = _tone(440)(channels, rate, seconds)
        samples[:, rate // 2 : rate * 6 // 10] *= 3
        return samples

    quiet = shot(tmp_path / "a.mp4", scene(0), signal=_tone(440))
    loud = shot(tmp_path / "b.mp4", scene(FPS), signal=burst)
    _, path = join([quiet, loud], tmp_path, match_colors=True)
    samples, rate = audio_of(path)
    levels = [float(np.abs(samples[0, int(t * rate) : int((t + 0.2) * rate)]).max()) for t in (0.2, 1.2)]
    assert levels[0] == pytest.approx(0.5, abs=0.05)
    assert levels[1] == pytest.approx(0.5, abs=0.05)


def test_join_keeps_a_shot_of_one_frame(tmp_path: Path) -> None:
    first, third = shot(tmp_path / "a.mp4", scene(0)), shot(tmp_path / "c.mp4", scene(FPS))
    single = shot(tmp_path / "b.mp4", scene(FPS - 1), frames=1)
    film, _ = join([first, single, third], tmp_path, drop_repeated=True, match_colors=True)
    assert film.frames == [FPS, 1, FPS]


@pytest.mark.parametrize(
    "change", [{"colours": {"color_trc": 16}}, {"size": (160, 80)}, {"fps": 25}], ids=["color", "size", "rate"]
)
def test_join_does_not_copy_shots_of_different_kinds(change: dict[str, Any], tmp_path: Path) -> None:
    film, _ = join([shot(tmp_path / "a.mp4", scene(0)), shot(tmp_path / "b.mp4", scene(0), **change)], tmp_path)
    assert not film.copied
    assert "shot 2 has another" in film.reason
