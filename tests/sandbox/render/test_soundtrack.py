from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nodes.sandbox.render.soundtrack import Recording, Sequence, Tone, audio_rate
from tests.media_files import (
    FILM_ORDER,
    Clip,
    clip_bytes,
    mp3_bytes,
    set_channel_layout,
    sweep,
    wav_bytes,
    without_decoder,
    write,
)


def saved(folder: Path, data: bytes) -> Path:
    path = folder / "audio"
    path.write_bytes(data)
    return path


def test_tone_is_soft_endless_and_depends_on_the_seed_only() -> None:
    whole = Tone(5, 48000).read(96000)
    assert whole.dtype == np.float32
    track = Tone(5, 48000)
    parts = np.concatenate([track.read(count) for count in (1, 1023, 50000, 44976)], axis=1)
    assert np.abs(parts - whole).max() < 1e-6
    assert 0.01 < whole[:, 24000:].std() < 0.1
    assert np.abs(whole).max() < 0.3
    assert np.abs(whole[:, :100]).max() < 0.001, "it fades in"
    assert not np.array_equal(whole, Tone(6, 48000).read(96000))


@pytest.mark.parametrize(
    ("data", "rate"),
    [(wav_bytes(2, rate=48000), 48000), (wav_bytes(2, rate=44100, channels=2), 44100), (mp3_bytes(2), 44100)],
    ids=["mono wav", "stereo wav", "mp3"],
)
def test_recording_starts_at_its_first_sample_at_full_volume(tmp_path: Path, data: bytes, rate: int) -> None:
    path = saved(tmp_path, data)
    assert audio_rate(path) == rate
    samples = Recording(path, rate).read(2 * rate)
    expected = sweep(1, rate, 2)[0]
    assert samples.shape == (2, 2 * rate)
    for channel in samples:
        assert np.abs(channel - expected)[100:-100].max() < 0.05


def test_recording_is_followed_by_silence(tmp_path: Path) -> None:
    track = Recording(saved(tmp_path, wav_bytes(2)), 8000)
    assert np.abs(track.read(16000)).max() > 0.4
    assert not track.read(5000).any()
    assert track.read(0).shape == (2, 0)


def test_recording_with_six_channels_becomes_stereo(tmp_path: Path) -> None:
    samples = Recording(saved(tmp_path, wav_bytes(2, channels=6)), 8000).read(1000)
    assert samples.shape == (2, 1000)
    assert samples.any()


def test_sequence_plays_one_track_after_the_other(tmp_path: Path) -> None:
    track = Sequence(Recording(saved(tmp_path, wav_bytes(2)), 8000), 8000, Tone(1, 8000))
    samples = np.concatenate([track.read(3000) for _ in range(5)], axis=1)
    assert np.abs(samples[0, :8000] - sweep(1, 8000, 1)[0]).max() < 0.01
    assert np.abs(samples[:, 8000:] - Tone(1, 8000).read(7000)).max() < 1e-6


def test_audio_rate_tells_clips_with_audio_from_silent_ones(tmp_path: Path) -> None:
    assert audio_rate(saved(tmp_path, clip_bytes(2, with_audio=True))) > 0
    assert audio_rate(saved(tmp_path, clip_bytes(2))) == 0


def test_recording_keeps_a_delayed_start(tmp_path: Path) -> None:
    path = saved(tmp_path, clip_bytes(3, with_audio=True, audio_delay=0.5))
    samples = np.abs(Recording(path, 48000).read(72000)[0])
    # mp4 keeps the delay in whole milliseconds
    assert np.argmax(samples > 0.05) == pytest.approx(24000, abs=100)


def test_recording_reads_an_order_of_channels_without_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mov", Clip(audio="pcm_s16le", layout="5.1(side)"))
    samples = Recording(set_channel_layout(path, FILM_ORDER), 48000).read(48000)
    assert samples.std() > 0.05


def test_audio_rate_is_0_if_there_is_no_decoder(tmp_path: Path) -> None:
    assert audio_rate(without_decoder(write(tmp_path / "phone.mp4", Clip()))) == 0
