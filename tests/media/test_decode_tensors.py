from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from nodes.media.decode import DecodeOptions, decode
from nodes.media.decode_tensors import decode_tensors
from nodes.media.file import MediaError
from tests.media.clips import Clip, write

SOUND = {"waveform": torch.arange(20_000.0).reshape(1, 2, 10_000), "sample_rate": 5000}


@pytest.mark.parametrize(
    "options",
    [
        DecodeOptions(),
        DecodeOptions(start_time=1.0),
        DecodeOptions(start_time=0.72, duration=0.5),
        DecodeOptions(every_nth=3),
        DecodeOptions(start_time=0.5, every_nth=2, max_frames=3),
        DecodeOptions(want_images=False),
    ],
)
def test_tensors_are_cut_as_the_file_is(tmp_path: Path, options: DecodeOptions) -> None:
    path = write(tmp_path / "clip.mp4", Clip(gop=5))
    whole = decode(path)

    file, tensors = decode(path, options), decode_tensors(whole.images, whole.audio, Fraction(10), options)

    assert (tensors.frame_count, tensors.fps) == (file.frame_count, file.fps)
    assert torch.equal(tensors.last_frame, file.last_frame)
    assert (tensors.images is None) == (file.images is None)
    assert tensors.images is None or torch.equal(tensors.images, file.images)
    assert tensors.audio["waveform"].shape == file.audio["waveform"].shape
    assert torch.allclose(tensors.audio["waveform"], file.audio["waveform"], atol=1e-3)


def test_frames_are_not_copied() -> None:
    images = torch.rand(20, 8, 12, 3)

    part = decode_tensors(images, None, Fraction(10), DecodeOptions(start_time=0.5, duration=1)).images

    assert part.data_ptr() == images[5:].data_ptr()


def test_max_side_and_alpha() -> None:
    images = torch.full((4, 40, 80, 4), 0.25)

    found = decode_tensors(images, SOUND, Fraction(2), DecodeOptions(max_side=20))

    assert found.images.shape == (4, 10, 20, 3)
    assert found.last_frame.shape == (1, 10, 20, 3)
    assert torch.allclose(found.images, torch.tensor(0.25), atol=1e-4)


def test_sound_is_cut_and_silence_stands_in() -> None:
    images = torch.zeros(20, 2, 2, 3)
    options = DecodeOptions(start_time=0.5, duration=1)

    cut = decode_tensors(images, SOUND, Fraction(10), options)
    silent = decode_tensors(images, None, Fraction(10), options)

    assert torch.equal(cut.audio["waveform"], SOUND["waveform"][..., 2500:7500])
    assert (cut.silent, silent.silent) == (False, True)
    assert silent.audio["waveform"].shape[-1] == silent.audio["sample_rate"]
    assert not silent.audio["waveform"].any()


@pytest.mark.parametrize(
    ("images", "options"),
    [(torch.zeros(0, 4, 4, 3), DecodeOptions()), (torch.zeros(4, 4, 4, 3), DecodeOptions(start_time=2))],
)
def test_nothing_left_is_an_error(images: torch.Tensor, options: DecodeOptions) -> None:
    with pytest.raises(MediaError):
        decode_tensors(images, None, Fraction(10), options)
