"""Samples of any kind as float32 with one or two channels, and the operations on them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import MediaError, check_readable

if TYPE_CHECKING:
    import torch
    from av import AudioFrame
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

MAX_SAMPLE_RATE = 1_000_000
"""Nothing records more samples in a second."""
_MANY_PLANES = 8
_HALF = 0.5**0.5
_LAYOUTS = {3: "LRC", 4: "LRCC", 5: "LRClr", 6: "LRC-lr", 7: "LRC-Clr", 8: "LRC-lrlr"}
"""FFmpeg's order for that number of channels: front left and right, centre, low frequency, surround left and right."""
_SHARES = {"L": (1, 0), "R": (0, 1), "C": (_HALF, _HALF), "l": (_HALF, 0), "r": (0, _HALF), "-": (0, 0)}
"""How much of a channel goes left and right. As ITU-R BS.775 mixes down, centre and surround come in 3 dB lower and the
low frequency channel is left out."""


def audio_count(audio: Mapping[str, Any]) -> int:
    """Return how many items an AUDIO holds. Raises MediaError if it is not an AUDIO, or an empty one."""
    count = int(parts(audio)[0].shape[0])
    if count == 0:
        raise MediaError("The audio is an empty batch. Look at the node that made it.")
    return count


def parts(audio: Mapping[str, Any]) -> tuple[torch.Tensor, int]:
    """Return waveform [B, C, T] and sample rate of an AUDIO; [C, T] is a batch of one. Raises MediaError."""
    import torch

    waveform = audio.get("waveform") if isinstance(audio, Mapping) else None
    rate: Any = audio.get("sample_rate") if isinstance(audio, Mapping) else None
    if not isinstance(waveform, torch.Tensor) or waveform.dim() not in (2, 3):
        raise MediaError("The audio is not a ComfyUI AUDIO: a waveform of batch × channels × samples is needed.")
    check_readable(waveform, name="The audio")
    try:
        samples_per_second = int(rate)
    except (TypeError, ValueError, OverflowError):
        samples_per_second = 0
    if not 0 < samples_per_second <= MAX_SAMPLE_RATE:
        raise MediaError(
            f"The audio's sample rate is {rate!r}; it must be from 1 to {MAX_SAMPLE_RATE} samples per second."
        )
    return (waveform if waveform.dim() == 3 else waveform.unsqueeze(0)), samples_per_second


def to_float(waveform: torch.Tensor, *, name: str) -> Samples:
    """Convert [C, T] of any dtype and device to float32 with full scale at 1.0. Integers are scaled by their range.

    Raises MediaError for no channel, complex or bool values, NaN or infinity.
    """
    import torch

    if waveform.shape[0] == 0:
        raise MediaError(f"{name} has no channel.")
    if waveform.is_floating_point():
        samples: Samples = waveform.detach().to("cpu", torch.float32).numpy()
    elif waveform.dtype == torch.bool or waveform.is_complex():
        raise MediaError(f"{name} holds {waveform.dtype} values; floating point from -1 to 1 is needed.")
    else:
        info = torch.iinfo(waveform.dtype)
        middle = 0 if info.min < 0 else (info.max + 1) // 2
        full_scale = info.max + 1 - middle
        wide = waveform.detach().cpu().to(torch.float64).numpy()  # MPS has no float64
        samples = ((wide - middle) / full_scale).astype(np.float32)
    if not np.isfinite(samples).all():
        raise MediaError(f"{name} holds NaN or infinite samples. Look at the node that made it.")
    return samples


def mix_down(samples: Samples) -> Samples:
    """Mix more than two channels down to stereo. More than 8 channels go left and right in turn."""
    channels = samples.shape[0]
    if channels <= 2:
        return samples
    if channels in _LAYOUTS:
        matrix = np.array([[_SHARES[name][side] for name in _LAYOUTS[channels]] for side in (0, 1)], np.float32)
    else:
        matrix = np.zeros((2, channels), np.float32)
        matrix[0, 0::2] = matrix[1, 1::2] = 1
    matrix /= matrix.sum(axis=1, keepdims=True)
    mixed: Samples = (matrix @ samples).astype(np.float32, copy=False)
    return mixed


def with_channels(samples: Samples, channels: int) -> Samples:
    """Return mono or stereo audio as mono (the mean) or stereo (the same on both sides)."""
    if samples.shape[0] > channels:
        mono: Samples = samples.mean(axis=0, keepdims=True, dtype=np.float32)
        return mono
    return samples if samples.shape[0] == channels else np.repeat(samples, channels, axis=0)


def without_clipping(samples: Samples) -> tuple[Samples, float]:
    """Turn audio down just enough that nothing is above full scale. Return it, and its peak before that."""
    peak = float(np.abs(samples).max(initial=0.0))
    return (samples / np.float32(peak) if peak > 1.0 else samples), peak


def fade_out(samples: Samples, length: int) -> Samples:
    """Return a copy whose last `length` samples fade to silence."""
    faded: Samples = samples.copy()
    length = min(length, samples.shape[1])
    faded[:, samples.shape[1] - length :] *= np.linspace(1, 0, length, dtype=np.float32)
    return faded


def frame_of(samples: Samples, rate: int, start: int = 0) -> AudioFrame:
    """Return float32 [C, T] with one or two channels as an FFmpeg frame that begins at sample `start`."""
    import av

    layout = "mono" if samples.shape[0] == 1 else "stereo"
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
    return frame


def resample(samples: Samples, rate: int, new_rate: int) -> Samples:
    """Resample [C, T] with FFmpeg. The length is that of the original to the nearest sample."""
    import av

    frame = frame_of(samples, rate)
    resampler = av.AudioResampler(format="fltp", layout=frame.layout.name, rate=new_rate)
    blocks = [part.to_ndarray() for part in (*resampler.resample(frame), *resampler.resample(None))]
    length = round(samples.shape[1] * new_rate / rate)
    resampled: Samples = np.zeros((samples.shape[0], length), np.float32)
    if blocks:  # none is made of a few samples
        joined = np.concatenate(blocks, axis=1)[:, :length]
        resampled[:, : joined.shape[1]] = joined
    return resampled


def reordered(frame: AudioFrame, order: tuple[int, ...]) -> AudioFrame:
    """Return a frame with its channels in another order. () leaves it as it is."""
    import av

    if not order or len(frame.layout.channels) != len(order):
        return frame
    samples = samples_of(frame)
    packed = samples.T if frame.format.is_planar else samples.reshape(-1, len(order))
    changed = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(packed[:, order]).reshape(1, -1),
        format=frame.format.packed.name,
        layout=f"{len(order)} channels",
    )
    changed.sample_rate, changed.pts, changed.time_base = frame.sample_rate, frame.pts, frame.time_base
    return changed


def samples_of(frame: AudioFrame) -> NDArray[Any]:
    """Return the samples as `frame.to_ndarray()` does: [C, n] if the format is planar, else [1, n*C].

    From eight planar channels (7.1) on, PyAV does not know where the planes end. Up to version 18 it reads a plane that
    is not there and the process dies; version 19 raises ValueError. Packed samples are one plane.
    """
    import av

    channels = len(frame.layout.channels)
    if not frame.format.is_planar or channels < _MANY_PLANES:
        return frame.to_ndarray()
    packed = av.AudioResampler(format=frame.format.packed.name).resample(frame)
    return np.concatenate([part.to_ndarray().reshape(-1, channels).T for part in packed], axis=1)
