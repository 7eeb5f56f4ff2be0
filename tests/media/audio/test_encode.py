from __future__ import annotations

import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from nodes.core import limits
from nodes.media.audio.encode import HostMinimum, encode_audio
from nodes.media.files import MediaCancelled, MediaError, MediaFile
from nodes.sandbox.inspect import inspect_media
from tests.media.comfyui_inputs import tone
from tests.systems import refuse_deletions

BOUNDS = limits.AUDIO


@pytest.fixture
def encode(tmp_path: Path):
    def run(audio: Any, bounds=BOUNDS, **options) -> MediaFile:
        return encode_audio(audio, bounds, directory=tmp_path, **options)

    return run


def noise(samples: int, rate: int = 8_000, channels: int = 1, batch: int = 1, peak: float = 0.5) -> dict[str, Any]:
    wave = torch.rand(batch, channels, samples, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return {"waveform": wave * peak, "sample_rate": rate}


def read(file: MediaFile) -> tuple[np.ndarray, int]:
    """Return float [C, T] and the rate. The sandbox's own reader has to agree, and the longest reading has to fit."""
    facts = inspect_media(file.path, "driving_audio_url")
    assert facts.size == file.size
    # LAME's header counts the padding of an MP3 up to 28 samples short.
    play = 30 / (facts.sample_rate or 1) if file.extension == "mp3" else 1e-9
    assert facts.seconds == pytest.approx(file.seconds, abs=play)
    with av.open(str(file.path)) as container:
        stream = container.streams.audio[0]
        packets, blocks = 0, []
        for packet in container.demux(stream):
            packets += bool(packet.size)
            for frame in packet.decode():
                block = frame.to_ndarray()
                packed = not frame.format.is_planar
                blocks.append(block.reshape(-1, stream.channels).T if packed else block)
        samples = np.concatenate(blocks, axis=1)
        if samples.dtype == np.int16:
            samples = samples.astype(np.float64) / 32768
        assert container.metadata == {} or file.extension == "mp3"
        if file.extension == "mp3":
            frame_seconds = (1152 if stream.rate >= 32_000 else 576) / stream.rate
            assert (packets + 1) * frame_seconds <= BOUNDS.max_seconds
            assert not {"title", "comment"} & set(container.metadata)
        return samples, stream.rate


# Input


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_encode_audio_wav_is_exact_to_half_a_step_of_16_bits(dtype: torch.dtype, encode) -> None:
    audio = noise(16_000, channels=2)
    audio["waveform"] = audio["waveform"].to(dtype)
    samples, rate = read(encode(audio, format="wav"))
    assert rate == 8_000
    assert np.abs(samples - audio["waveform"][0].double().numpy()).max() <= 0.5 / 32768 + 1e-7


@pytest.mark.parametrize(
    ("dtype", "low", "high", "middle"),
    [(torch.int16, -32768, 32767, 0), (torch.int32, -(2**31), 2**31 - 1, 0), (torch.uint8, 0, 255, 128)],
)
def test_encode_audio_scales_integers_by_their_own_range(
    dtype: torch.dtype, low: int, high: int, middle: int, encode
) -> None:
    waveform = torch.full((1, 1, 16_000), middle, dtype=dtype)
    waveform[..., 0::3], waveform[..., 1::3] = low, high
    samples, _ = read(encode({"waveform": waveform, "sample_rate": 8_000}))
    assert samples[0, :3] == pytest.approx([-1, (high - middle) / (middle or high + 1), 0], abs=1e-4)


def test_encode_audio_of_integers_on_mps(encode, monkeypatch: pytest.MonkeyPatch) -> None:
    """MPS has no float64, and torch refuses it there also if the same call moves the tensor to the CPU."""
    to = torch.Tensor.to

    def without_float64(tensor: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        if torch.float64 in arguments and len(arguments) > 1:
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )
        return to(tensor, *arguments, **named)

    monkeypatch.setattr(torch.Tensor, "to", without_float64)
    waveform = torch.zeros((1, 1, 16_000), dtype=torch.int16)
    samples, _ = read(encode({"waveform": waveform, "sample_rate": 8_000}))
    assert not samples.any()


def test_encode_audio_mixes_more_than_two_channels_down(encode) -> None:
    """5.1: front left and right stay apart, the centre goes to both, the low frequencies to none."""
    for channel, expected in {0: (1, 0), 1: (0, 1), 2: (0.707, 0.707), 3: (0, 0), 4: (0.707, 0), 5: (0, 0.707)}.items():
        waveform = torch.zeros(1, 6, 16_000)
        waveform[0, channel] = 0.5
        file = encode({"waveform": waveform, "sample_rate": 8_000})
        samples, _ = read(file)
        assert samples.shape[0] == 2
        assert samples[:, 100] == pytest.approx(np.array(expected) * 0.5 / (1 + 2 * 0.7071), abs=1e-3)
        assert "6 channels" in file.notes[0]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7, 8, 9, 16])
def test_encode_audio_takes_any_number_of_channels_without_clipping(channels: int, encode) -> None:
    waveform = torch.ones(1, channels, 16_000)
    samples, _ = read(encode({"waveform": waveform, "sample_rate": 8_000}))
    assert samples.shape[0] == min(channels, 2)
    assert np.abs(samples).max() == pytest.approx(1, abs=1e-3)


def test_encode_audio_turns_down_what_is_above_full_scale(encode) -> None:
    audio = noise(16_000)
    audio["waveform"] *= 4
    file = encode(audio)
    samples, _ = read(file)
    shape = audio["waveform"][0, 0].numpy()
    assert samples[0] == pytest.approx(shape / np.abs(shape).max(), abs=1e-4)
    assert "full scale" in file.notes[0]
    assert encode(noise(16_000, peak=0.999)).notes == ()


def test_encode_audio_takes_silence(encode) -> None:
    samples, _ = read(encode({"waveform": torch.zeros(1, 2, 48_000 * 3), "sample_rate": 48_000}))
    assert not samples.any()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_encode_audio_refuses_nan_and_infinity(value: float, encode, tmp_path: Path) -> None:
    audio = noise(16_000, batch=2)
    audio["waveform"][1, 0, 777] = value
    encode(audio, index=0)
    with pytest.raises(MediaError, match=r"Audio 2 .*NaN or infinite"):
        encode(audio, index=1)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("audio", "words"),
    [
        (None, "not a ComfyUI AUDIO"),
        ({"waveform": torch.zeros(16_000), "sample_rate": 8_000}, "not a ComfyUI AUDIO"),
        ({"waveform": torch.zeros(1, 1, 16_000)}, "sample rate is None"),
        ({"waveform": torch.zeros(1, 1, 16_000), "sample_rate": 0}, "sample rate is 0"),
        ({"waveform": torch.zeros(1, 1, 16_000), "sample_rate": "high"}, "sample rate is 'high'"),
        ({"waveform": torch.zeros(1, 1, 16_000), "sample_rate": float("nan")}, "sample rate is nan"),
        ({"waveform": torch.zeros(1, 1, 16_000), "sample_rate": 10**9}, "sample rate is 1000000000"),
        ({"waveform": np.zeros((1, 1, 16_000)), "sample_rate": 8_000}, "not a ComfyUI AUDIO"),
        ({"waveform": torch.zeros(1, 1, 1, 16_000), "sample_rate": 8_000}, "not a ComfyUI AUDIO"),
        ({"waveform": torch.zeros(1, 1, 16_000).to_sparse(), "sample_rate": 8_000}, "cannot be read"),
        ({"waveform": torch.zeros(1, 1, 16_000, dtype=torch.complex64), "sample_rate": 8_000}, "complex"),
        ({"waveform": torch.zeros(1, 0, 16_000), "sample_rate": 8_000}, "no channel"),
        ({"waveform": torch.zeros(1, 1, 0), "sample_rate": 8_000}, "lasts 0 s"),
        ({"waveform": torch.zeros(1, 1, 16_000, dtype=torch.bool), "sample_rate": 8_000}, "bool"),
    ],
)
def test_encode_audio_refuses_what_is_not_an_audio(audio: Any, words: str, encode) -> None:
    with pytest.raises(MediaError, match=words):
        encode(audio)


@pytest.mark.parametrize(("rate", "samples"), [(7, 20), (1_000_000, 2_000_000)])
def test_encode_audio_takes_rates_that_no_format_has(rate: int, samples: int, encode) -> None:
    file = encode({"waveform": torch.zeros(1, 1, samples), "sample_rate": rate})
    assert 2 <= inspect_media(file.path, "driving_audio_url").seconds < 3


def test_encode_audio_takes_each_item_of_a_batch(encode) -> None:
    audio = noise(16_000, batch=3)
    for index in range(3):
        samples, _ = read(encode(audio, index=index))
        assert samples[0] == pytest.approx(audio["waveform"][index, 0].numpy(), abs=1e-4)


# Length: at, below and above every edge

RATES = (8_000, 44_100, 48_000)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("format", ["wav", "mp3"])
def test_encode_audio_takes_two_seconds_and_refuses_a_sample_less(rate: int, format: str, encode) -> None:
    file = encode(noise(2 * rate, rate), format=format)
    samples, _ = read(file)
    assert samples.shape[1] == 2 * rate
    assert file.notes == ()
    for mode in ("fit", "error"):
        with pytest.raises(MediaError, match=r"lasts 1\.999\d+ s; at least 2 s"):
            encode(noise(2 * rate - 1, rate), format=format, on_limit=mode)


@pytest.mark.parametrize("rate", RATES)
def test_encode_audio_keeps_thirty_seconds_and_cuts_a_sample_more(rate: int, encode) -> None:
    assert encode(noise(30 * rate, rate), on_limit="error").notes == ()
    longer = noise(30 * rate + 1, rate)
    with pytest.raises(MediaError, match=r"lasts 30\.000\d+ s; the limit is 30 s"):
        encode(longer, on_limit="error")
    file = encode(longer)
    samples, _ = read(file)
    assert samples.shape[1] == 30 * rate
    assert "30 s" in file.notes[0]


def test_encode_audio_cut_fades_out_and_changes_nothing_before(encode) -> None:
    audio = tone(35, rate=8_000, channels=1)
    samples, rate = read(encode(audio))
    before = int(29.9 * rate)
    assert samples[0, :before] == pytest.approx(audio["waveform"][0, 0, :before].numpy(), abs=1e-4)
    assert abs(samples[0, -1]) < 0.01
    assert np.abs(samples[0, -80:]).max() < 0.3


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("seconds", [29.9, 30, 31])
def test_encode_audio_mp3_is_at_most_thirty_seconds_for_any_reader(rate: int, seconds: float, encode) -> None:
    file = encode(noise(round(seconds * rate), rate), format="mp3")
    read(file)
    assert file.seconds is not None
    assert 29.5 < file.seconds <= 30


def test_encode_audio_error_mode_does_not_cut_for_the_frames_of_mp3(encode) -> None:
    with pytest.raises(MediaError, match="Choose format wav"):
        encode(noise(30 * 48_000, 48_000), format="mp3", on_limit="error")


# Formats, rates and sizes


@pytest.mark.parametrize(
    ("rate", "wav_rate", "mp3_rate"),
    [
        (4_000, 8_000, 8_000),
        (8_000, 8_000, 8_000),
        (11_025, 11_025, 11_025),
        (37_777, 37_777, 44_100),
        (96_000, 96_000, 48_000),
        (384_000, 192_000, 48_000),
    ],
)
def test_encode_audio_changes_only_rates_that_a_format_does_not_have(
    rate: int, wav_rate: int, mp3_rate: int, encode
) -> None:
    audio = tone(2.5, rate=rate, hertz=300)
    for kind, expected in (("wav", wav_rate), ("mp3", mp3_rate)):
        file = encode(audio, format=kind)
        samples, found = read(file)
        assert found == expected
        assert samples.shape[1] == pytest.approx(2.5 * expected, abs=1)
        assert any(f"from {rate} to {expected}" in note for note in file.notes) == (rate != expected)
        middle = samples[0, expected : 2 * expected]
        spectrum = np.abs(np.fft.rfft(middle))
        assert np.argmax(spectrum) == 300  # one second of it: bins of 1 Hz
        assert np.sqrt(np.mean(np.square(middle))) == pytest.approx(
            0.5 / np.sqrt(2), rel=0.02 if kind == "wav" else 0.06
        )


def test_encode_audio_auto_is_wav_up_to_15_mb_and_mp3_beyond(encode) -> None:
    most = (15_000_000 - 44) // 2  # mono samples of 2 bytes
    fits = noise(most, 250_000)  # 29.99 s at an odd rate, brought to 192 kHz
    assert encode(fits).extension == "wav"
    stereo = noise(15_000_000 // 4 - 11, 130_000, channels=2)
    exactly = encode(stereo)
    assert (exactly.extension, exactly.size) == ("wav", 15_000_000)
    read(exactly)
    over = encode(noise(15_000_000 // 4 - 10, 130_000, channels=2))
    assert over.extension == "mp3"
    assert "15.0 MB" in over.notes[0]
    read(over)


def test_encode_audio_wav_that_is_too_large_gets_a_lower_rate(encode) -> None:
    audio = noise(20 * 192_000, 192_000, channels=2)
    file = encode(audio, format="wav")
    assert (file.extension, read(file)[1]) == ("wav", 96_000)
    assert file.size <= 15_000_000
    with pytest.raises(MediaError, match=r"15\.4 MB as WAV; the limit is 15\.0 MB"):
        encode(audio, format="wav", on_limit="error")


@pytest.mark.parametrize("max_bytes", [400_000, 100_000, 30_000])
def test_encode_audio_mp3_takes_the_bit_rate_that_fits(max_bytes: int, encode) -> None:
    file = encode(noise(3 * 48_000, 48_000), replace(BOUNDS, max_bytes=max_bytes), format="mp3")
    assert max_bytes * 0.2 < file.size <= max_bytes
    read(file)


@pytest.mark.parametrize("format", ["auto", "wav", "mp3"])
def test_encode_audio_refuses_what_cannot_fit(format: str, encode, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"0\.0 MB"):
        encode(noise(3 * 48_000, 48_000), replace(BOUNDS, max_bytes=1_000), format=format)
    assert list(tmp_path.iterdir()) == []


def test_encode_audio_mp3_is_close_to_the_input(encode) -> None:
    audio = tone(4)
    samples, _ = read(encode(audio, format="mp3"))
    assert samples.shape == (2, 4 * 48_000)
    original = audio["waveform"][0].numpy()
    error = samples[:, 4_800:-4_800] - original[:, 4_800:-4_800]
    assert 10 * np.log10(np.mean(np.square(original)) / np.mean(np.square(error))) > 30


def test_encode_audio_writes_a_plain_wav_header(encode) -> None:
    with wave.open(str(encode(noise(16_000, channels=2)).path)) as file:
        assert file.getparams()[:4] == (2, 2, 8_000, 16_000)


@pytest.mark.parametrize("format", ["wav", "mp3"])
def test_encode_audio_interrupted_leaves_nothing(format: str, encode, tmp_path: Path) -> None:
    asked = iter([False] * 5 + [True] * 10)
    with pytest.raises(MediaCancelled):
        encode(noise(4 * 48_000, 48_000), format=format, cancelled=lambda: True if format == "wav" else next(asked))
    assert list(tmp_path.iterdir()) == []


def test_encode_audio_interrupted_is_no_other_error_if_the_file_cannot_be_deleted(
    encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = iter([False] * 5 + [True] * 10)
    refuse_deletions(monkeypatch)
    with pytest.raises(MediaCancelled):
        encode(noise(4 * 48_000, 48_000), format="mp3", cancelled=lambda: next(asked))


# A host that needs longer audio than the model

THREE = HostMinimum(3.0, "Some Host")


@pytest.mark.parametrize("format", ["wav", "mp3"])
@pytest.mark.parametrize(("samples", "rate"), [(20_000, 8_000), (2 * 44_100, 44_100), (15_000, 6_000)])
def test_encode_audio_adds_silence_until_it_is_as_long_as_the_host_needs(
    samples: int, rate: int, format: str, encode
) -> None:
    file = encode(noise(samples, rate), format=format, least=THREE)
    played, played_rate = read(file)
    assert file.seconds is not None and 3.0 <= file.seconds < 3.001
    assert played.shape[1] >= 3 * played_rate
    seconds = samples / rate
    assert np.abs(played[:, : int(seconds * played_rate)]).max() > 0.1
    assert np.abs(played[:, int((seconds + 0.1) * played_rate) :]).max() < 0.01
    assert any("of silence added at the end, as at least 3 s at Some Host are needed" in note for note in file.notes)


def test_encode_audio_with_added_silence_is_the_same_audio(encode) -> None:
    """A request that was paid for at a host without this rule is found again."""
    audio = noise(20_000)
    assert encode(audio, least=THREE).content == encode(audio).content


@pytest.mark.parametrize("least", [None, HostMinimum(2.0, "Some Host"), HostMinimum(1.0, "Some Host")])
def test_encode_audio_that_is_long_enough_is_left_as_it_is(least: HostMinimum | None, encode) -> None:
    file = encode(noise(16_000), least=least)
    assert (file.seconds, file.notes) == (2.0, ())


def test_encode_audio_on_limit_error_refuses_what_is_too_short_for_the_host(encode) -> None:
    with pytest.raises(MediaError, match=r"lasts 2\.5 s; at least 3 s at Some Host are needed.*on_limit to fit"):
        encode(noise(20_000), least=THREE, on_limit="error")
    assert encode(noise(24_000), least=THREE, on_limit="error").seconds == 3.0


@pytest.mark.parametrize("on_limit", ["fit", "error"])
def test_encode_audio_below_the_models_own_limit_is_refused_at_every_host(on_limit: str, encode) -> None:
    with pytest.raises(MediaError, match=r"at least 2 s are needed\. Add silence"):
        encode(noise(15_999), least=THREE, on_limit=on_limit)
