from __future__ import annotations

import weakref
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nodes.media.join.film import FilmForm
from nodes.media.join.shot import Shot
from tests.media.comfyui_inputs import FileVideo, tone
from tests.media.shots import FPS, SIZE, file, join, loudness, packets, scene, shot, steady
from tests.media_reading import frames_of, psnr


class CroppedVideo(FileVideo):
    """As ComfyUI's, cropped: it makes its frames each time it is asked. Counts the frames that are in memory."""

    alive = 0
    most = 0

    def __init__(self, video: FileVideo) -> None:
        super().__init__(str(file(video)))
        self.asked = 0

    def has_pending_frame_edits(self) -> bool:
        return True

    def get_components(self) -> Any:
        self.asked += 1
        images = torch.tensor(np.stack(frames_of(file(self)))[:, 8:88, :128]) / 255
        CroppedVideo.alive += 1
        CroppedVideo.most = max(CroppedVideo.most, CroppedVideo.alive)
        weakref.finalize(images, self._freed)
        return SimpleNamespace(images=images, audio=tone(1.0), frame_rate=FPS)

    @staticmethod
    def _freed() -> None:
        CroppedVideo.alive -= 1


@pytest.mark.parametrize("options", [{}, {"crossfade_seconds": 0.2, "match_colors": True}], ids=["cut", "crossfade"])
def test_join_holds_the_frames_of_one_shot_at_a_time(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CroppedVideo, "most", 0)
    videos = [CroppedVideo(shot(tmp_path / f"{n}.mp4", scene(n * FPS), frames=12)) for n in range(4)]
    film, path = join(videos, tmp_path, **options)
    assert (CroppedVideo.most, CroppedVideo.alive) == (1, 0)
    assert [video.asked for video in videos] == [2] * 4
    assert film.frames == [12] * 4
    frames = frames_of(path)
    assert frames[0].shape == (80, 128, 3)
    assert psnr(frames[-1], frames_of(file(videos[-1]))[-1][8:88, :128]) > 33


class SavingVideo:
    """A VIDEO of another pack, which can only save itself."""

    def __init__(self, video: FileVideo) -> None:
        self._file = file(video)

    def save_to(self, path: str) -> None:
        Path(path).write_bytes(self._file.read_bytes())


def test_join_copies_videos_that_can_only_save_themselves(tmp_path: Path) -> None:
    made = [shot(tmp_path / f"{n}.mp4", scene(n * FPS)) for n in range(2)]
    film, path = join([SavingVideo(video) for video in made], tmp_path)
    assert film.copied
    assert packets(path) == [data for video in made for data in packets(file(video))]
    assert {left.name for left in tmp_path.iterdir()} == {"0.mp4", "1.mp4", "film.mp4"}


def test_shot_keeps_no_file_in_memory(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    found = Shot(SavingVideo(shot(tmp_path / "a.mp4", scene(0))), tmp_path / "kept")
    assert found.facts is not None
    assert isinstance(found.facts.source, Path)
    assert found.facts.source.parent == tmp_path / "kept"


@pytest.mark.parametrize("level", [0.5, 2.0], ids=["quiet", "above full scale"])
def test_shot_gives_audio_the_gain_of_the_film(level: float, tmp_path: Path) -> None:
    quiet = Shot(shot(tmp_path / "a.mp4", scene(0), signal=steady(440)), tmp_path)
    audio = tone(1.0)
    audio["waveform"] = audio["waveform"] * 2 * level
    loud = Shot(_tensors(audio), tmp_path)
    assert (quiet.loudest, loud.loudest) == (0, pytest.approx(level, abs=0.01))
    form = FilmForm(SIZE, Fraction(FPS), (48_000, 2), gain=0.5)
    for each, wanted in ((quiet, 0.25), (loud, level / 2)):
        samples = [part for part in each.read(form) if isinstance(part, np.ndarray)]
        assert np.abs(np.concatenate(samples, 1)[:, 4_800:-4_800]).max() == pytest.approx(wanted, rel=0.06)


@pytest.mark.parametrize(
    "change", [{"fps": 240, "frames": 240}, {"times": (0, 40, 240, 280, 680, 720)}], ids=["fast", "variable"]
)
def test_shot_of_a_rate_that_players_do_not_take_keeps_its_length(change: dict[str, Any], tmp_path: Path) -> None:
    made = {"frames": len(change.get("times", ())), "audio": None, **change}
    found = Shot(shot(tmp_path / "a.mp4", scene(0), **made), tmp_path)
    count = len(list(found.read(FilmForm(SIZE, found.fps, None))))
    assert found.frames_at(found.fps) == count
    assert abs(count / found.fps - found.seconds) <= 1 / (2 * found.fps)


@pytest.mark.parametrize("fps", [10, 12, 25, 60])
def test_shot_keeps_its_length_at_another_rate(fps: int, tmp_path: Path) -> None:
    form = FilmForm(SIZE, Fraction(fps), None)
    for video in (shot(tmp_path / "a.mp4", scene(0)), _tensors(tone(1.0))):
        found = Shot(video, tmp_path)
        assert found.frames_at(form.fps) == len(list(found.read(form))) == fps


def _tensors(audio: dict[str, Any]) -> Any:
    components = SimpleNamespace(images=torch.full((FPS, 96, 160, 3), 0.5), audio=audio, frame_rate=FPS)
    return SimpleNamespace(get_components=lambda: components)


def test_join_keeps_the_audio_of_frames_in_memory_in_step(tmp_path: Path) -> None:
    video = _tensors(tone(1.0))
    _, path = join([video, video], tmp_path)
    assert loudness(path, 0.4) == pytest.approx(loudness(path, 1.4), abs=0.03)
