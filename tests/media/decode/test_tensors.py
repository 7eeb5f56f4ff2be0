from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from nodes.media.decode import memory
from nodes.media.decode.decode import DecodeOptions, decode
from nodes.media.decode.memory import MIB, MemoryRefusedError
from nodes.media.decode.tensors import decode_tensors
from nodes.media.files import MediaCancelled, MediaError
from tests.media_files import Clip, write

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
def test_decode_tensors_cuts_as_decode_does(tmp_path: Path, options: DecodeOptions) -> None:
    path = write(tmp_path / "clip.mp4", Clip(gop=5))
    whole = decode(path)

    file, tensors = decode(path, options), decode_tensors(whole.images, whole.audio, Fraction(10), options)

    assert (tensors.frame_count, tensors.fps) == (file.frame_count, file.fps)
    assert torch.equal(tensors.last_frame, file.last_frame)
    assert (tensors.images is None) == (file.images is None)
    assert tensors.images is None or torch.equal(tensors.images, file.images)
    assert tensors.audio["waveform"].shape == file.audio["waveform"].shape
    assert torch.allclose(tensors.audio["waveform"], file.audio["waveform"], atol=1e-3)


def test_decode_tensors_copies_no_frames_in_the_right_form() -> None:
    images = torch.rand(20, 8, 12, 3)

    part = decode_tensors(images, None, Fraction(10), DecodeOptions(start_time=0.5, duration=1)).images

    assert part.data_ptr() == images[5:].data_ptr()


def test_decode_tensors_scales_to_max_side_and_drops_alpha() -> None:
    images = torch.full((4, 40, 80, 4), 0.25)

    found = decode_tensors(images, SOUND, Fraction(2), DecodeOptions(max_side=20))

    assert found.images.shape == (4, 10, 20, 3)
    assert found.last_frame.shape == (1, 10, 20, 3)
    assert torch.allclose(found.images, torch.tensor(0.25), atol=1e-4)


def test_decode_tensors_cuts_audio_and_fills_in_silence() -> None:
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
def test_decode_tensors_refuses_an_empty_window(images: torch.Tensor, options: DecodeOptions) -> None:
    with pytest.raises(MediaError):
        decode_tensors(images, None, Fraction(10), options)


@pytest.mark.parametrize("options", [DecodeOptions(), DecodeOptions(max_side=20)], ids=["as it is", "scaled"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.uint8, torch.bool])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_decode_tensors_converts_any_images_to_float_rgb(
    dtype: torch.dtype, channels: int, options: DecodeOptions
) -> None:
    images = torch.ones(3, 20, 40, channels, dtype=dtype) * (255 if dtype == torch.uint8 else 1)

    found = decode_tensors(images.to(dtype), None, Fraction(10), options)

    for given, count in ((found.images, 3), (found.last_frame, 1)):
        assert given.shape == ((count, 10, 20, 3) if options.max_side else (count, 20, 40, 3))
        assert given.dtype == torch.float32
        assert torch.allclose(given, torch.tensor(1.0), atol=1e-5)


def test_decode_tensors_scales_integers_by_their_range() -> None:
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)

    found = decode_tensors(images, None, Fraction(10), DecodeOptions())

    assert torch.equal(found.images[0, :, :, 1], torch.arange(256.0).reshape(16, 16) / 255)


@pytest.mark.parametrize("start", [0.0, 1.5], ids=["heard", "after its end"])
def test_decode_tensors_takes_a_waveform_without_a_batch(start: float) -> None:
    audio = {"waveform": torch.zeros(2, 5000), "sample_rate": 5000}

    found = decode_tensors(torch.zeros(20, 2, 2, 3), audio, Fraction(10), DecodeOptions(start_time=start))

    assert found.audio["waveform"].shape == (1, 2, 5000 if not start else 2500)


def test_decode_tensors_converts_integer_samples_to_floats() -> None:
    audio = {"waveform": torch.full((1, 2, 5000), -(2**14), dtype=torch.int16), "sample_rate": 5000}

    found = decode_tensors(torch.zeros(10, 2, 2, 3), audio, Fraction(10), DecodeOptions())

    assert torch.equal(found.audio["waveform"], torch.full((1, 2, 5000), -0.5))


def test_decode_tensors_reports_progress_and_is_interrupted() -> None:
    images = torch.zeros(6, 20, 40, 3)
    seen: list[tuple[int, int]] = []
    options = DecodeOptions(max_side=10)

    decode_tensors(images, None, Fraction(10), options, on_progress=lambda *figures: seen.append(figures))
    assert seen == [(number, 6) for number in range(1, 7)]

    with pytest.raises(MediaCancelled):
        decode_tensors(images, None, Fraction(10), options, cancelled=lambda: True)


#: Frames that have to be copied though they are not scaled.
COPIED = [(4, DecodeOptions()), (3, DecodeOptions(every_nth=2))]


@pytest.mark.parametrize(("channels", "options"), COPIED, ids=["alpha", "every second"])
def test_decode_tensors_copies_frame_by_frame_and_can_be_interrupted(channels: int, options: DecodeOptions) -> None:
    images, seen = torch.rand(6, 20, 40, channels), [(0, 0)]

    found = decode_tensors(images, None, Fraction(10), options, on_progress=lambda *figures: seen.append(figures))

    assert torch.equal(found.images, images[:: options.every_nth, ..., :3])
    assert torch.equal(found.last_frame, found.images[-1:])
    assert [done for done, _ in seen] == list(range(found.frame_count + 1))
    with pytest.raises(MediaCancelled):
        decode_tensors(images, None, Fraction(10), options, cancelled=lambda: True)


@pytest.mark.parametrize(("channels", "options"), COPIED, ids=["alpha", "every second"])
def test_decode_tensors_refuses_a_copy_that_does_not_fit(
    monkeypatch: pytest.MonkeyPatch, channels: int, options: DecodeOptions
) -> None:
    images = torch.zeros(1, 1024, 1024, channels).expand(40, -1, -1, -1)
    monkeypatch.setattr(memory, "available_bytes", lambda: (256 + 3 * 12 + 60) * MIB)

    with pytest.raises(MemoryRefusedError, match=r"The video needs .*set max_frames to 4 or less"):
        decode_tensors(images, None, Fraction(10), options)

    fitting = replace(options, max_frames=4)
    assert decode_tensors(images, None, Fraction(10), fitting).frame_count == 4


def test_decode_tensors_counts_no_memory_for_what_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.zeros(40, 64, 64, 3)
    monkeypatch.setattr(memory, "available_bytes", lambda: 0)

    shared = DecodeOptions(want_last_frame=False, want_audio=False)
    assert decode_tensors(images, None, Fraction(10), shared).images.data_ptr() == images.data_ptr()
    only_last = DecodeOptions(want_images=False, want_audio=False)
    assert decode_tensors(images, None, Fraction(10), only_last).last_frame.data_ptr() == images[-1:].data_ptr()
    with pytest.raises(MemoryRefusedError, match=r"1 frame of 64×64 \(one for last_frame\)"):
        decode_tensors(images, None, Fraction(10), DecodeOptions(want_audio=False))


def test_decode_tensors_counts_memory_of_copied_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    images, audio = torch.zeros(40, 2, 2, 3), {"waveform": torch.zeros(1, 2, 20_000), "sample_rate": 5000}
    monkeypatch.setattr(memory, "available_bytes", lambda: 0)
    options = DecodeOptions(want_last_frame=False)

    whole = decode_tensors(images, audio, Fraction(10), options)
    assert whole.audio["waveform"].data_ptr() == audio["waveform"].data_ptr()
    with pytest.raises(MemoryRefusedError, match="The video needs 0 MiB for the audio"):
        decode_tensors(images, audio, Fraction(10), replace(options, duration=1))
