"""One sound to a WAV or MP3 file inside the limits."""

from __future__ import annotations

import math
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core.limits import AUDIO_FORMATS, ON_LIMIT, AudioBounds, AudioFormat, OnLimit
from ..content_hash import ContentHash
from ..files import MediaCancelled, MediaError, MediaFile, describe, megabytes, new_path
from .mp3 import frames_seconds, mp3_rate, write_mp3
from .waveform import fade_out, mix_down, parts, resample, to_float, without_clipping

if TYPE_CHECKING:
    from .waveform import Samples

_WAV_HEADER = 44
_WAV_RATES = (8_000, 192_000)
"""Sample rates outside are not sound for people; they are brought to the nearest end."""
_WAV_SMALLER = (96_000, 48_000, 44_100, 32_000, 24_000, 16_000)
_FADE_SECONDS = 0.03


def encode_audio(
    audio: Mapping[str, Any],
    bounds: AudioBounds,
    *,
    directory: Path,
    format: AudioFormat = "auto",
    on_limit: OnLimit = "fit",
    index: int = 0,
    cancelled: Callable[[], bool] | None = None,
) -> MediaFile:
    """Write one sound of an AUDIO as 16-bit WAV or as MP3, mono or stereo, inside `bounds`.

    audio: {"waveform": [B, C, T], "sample_rate": samples per second}, any dtype and device, full scale -1..1; more than
    two channels are mixed down, and what is above full scale is turned down as a whole. index: which of the batch.
    format auto writes WAV while it fits into the size. on_limit fit cuts what is too long at the limit with a short
    fade and says so in `notes`; error refuses. Silence is fine.

    Raises MediaError (also for fit: too short, NaN, a wrong shape) and MediaCancelled.
    """
    if format not in AUDIO_FORMATS or on_limit not in ON_LIMIT:
        raise MediaError(f"format {format!r} or on_limit {on_limit!r} is none of {AUDIO_FORMATS} and fit, error.")
    waveform, rate = parts(audio)
    name = f"Sound {index + 1}"
    notes: list[str] = []
    length = _kept_length(int(waveform.shape[2]), rate, bounds, on_limit, name)
    kept = to_float(waveform[index, :, :length], name=name)
    content = ContentHash("sound")
    content.update_samples(kept, rate)
    samples, mixed = mix_down(kept)
    if length < int(waveform.shape[2]):
        samples = fade_out(samples, round(_FADE_SECONDS * rate))
        notes.append(f"{name}: cut from {waveform.shape[2] / rate:.2f} s to {bounds.max_seconds:g} s.")
    _check(cancelled)
    chosen = format if format != "auto" else _smaller_if_needed(samples, rate, bounds)
    content.update_fields(chosen)
    if format == "auto" and chosen == "mp3":
        notes.append(f"{name}: sent as MP3; a WAV would be over {megabytes(bounds.max_bytes)}.")
    samples, rate = _at_rate(samples, rate, chosen, bounds, on_limit, name, notes)
    _check(cancelled)
    samples, turned_down = without_clipping(samples)
    notes += [f"{name}: {text}" for text in (mixed, turned_down) if text]
    _check(cancelled)
    path = new_path(directory, chosen)
    try:
        seconds = _write(path, samples, rate, chosen, bounds, on_limit, name, notes, cancelled)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return describe(path, content=content.hexdigest(), seconds=seconds, notes=tuple(notes))


def _check(cancelled: Callable[[], bool] | None) -> None:
    if cancelled is not None and cancelled():
        raise MediaCancelled


def _kept_length(length: int, rate: int, bounds: AudioBounds, on_limit: str, name: str) -> int:
    """How many samples are kept. Counted in samples, so that the limits are exact."""
    if length < bounds.min_seconds * rate:
        raise MediaError(
            f"{name} lasts {_seconds(length, rate)}; at least {bounds.min_seconds:g} s are needed. "
            "Add silence at its end or take a longer one."
        )
    most = math.floor(bounds.max_seconds * rate)
    if length > most and on_limit == "error":
        raise MediaError(
            f"{name} lasts {_seconds(length, rate)}; the limit is {bounds.max_seconds:g} s. "
            "Trim it, or set on_limit to fit."
        )
    return min(length, most)


def _seconds(length: int, rate: int) -> str:
    """Seconds with as many digits as tell them from a limit."""
    return f"{length / rate:.5f}".rstrip("0").rstrip(".") + " s"


def _wav_size(channels: int, length: int) -> int:
    return _WAV_HEADER + 2 * channels * length


def _smaller_if_needed(samples: Samples, rate: int, bounds: AudioBounds) -> Literal["wav", "mp3"]:
    length = round(samples.shape[1] * _clamped(rate) / rate)
    return "wav" if _wav_size(samples.shape[0], length) <= bounds.max_bytes else "mp3"


def _clamped(rate: int) -> int:
    return min(max(rate, _WAV_RATES[0]), _WAV_RATES[1])


def _at_rate(
    samples: Samples, rate: int, chosen: str, bounds: AudioBounds, on_limit: str, name: str, notes: list[str]
) -> tuple[Samples, int]:
    """The samples at a rate the format takes and, for a WAV that must fit, small enough."""
    new_rate = mp3_rate(rate) if chosen == "mp3" else _clamped(rate)
    if chosen == "wav":
        size = _wav_size(samples.shape[0], round(samples.shape[1] * new_rate / rate))
        if size > bounds.max_bytes:
            new_rate = _wav_rate_that_fits(samples, rate, size, bounds, on_limit, name)
    if new_rate == rate:
        return samples, rate
    notes.append(f"{name}: sample rate changed from {rate} to {new_rate} Hz.")
    return resample(samples, rate, new_rate), new_rate


def _wav_rate_that_fits(samples: Samples, rate: int, size: int, bounds: AudioBounds, on_limit: str, name: str) -> int:
    if on_limit == "fit":
        for candidate in _WAV_SMALLER:
            length = round(samples.shape[1] * candidate / rate)
            if candidate < rate and _wav_size(samples.shape[0], length) <= bounds.max_bytes:
                return candidate
    raise MediaError(
        f"{name} takes {megabytes(size)} as WAV; the limit is {megabytes(bounds.max_bytes)}. Choose format auto or mp3."
    )


def _write(
    path: Path,
    samples: Samples,
    rate: int,
    chosen: str,
    bounds: AudioBounds,
    on_limit: str,
    name: str,
    notes: list[str],
    cancelled: Callable[[], bool] | None,
) -> float:
    """Write the file; its length in seconds. An MP3 is cut until its frames, padding counted in, are inside."""
    if chosen == "wav":
        _write_wav(path, samples, rate)
        return float(samples.shape[1] / rate)
    length = samples.shape[1]
    overhang = frames_seconds(length, rate) - bounds.max_seconds
    if overhang > 0:
        if on_limit == "error":
            raise MediaError(
                f"{name} lasts {_seconds(length, rate)}, which MP3 frames round up over the limit of "
                f"{bounds.max_seconds:g} s. Choose format wav, or set on_limit to fit."
            )
        samples = fade_out(samples[:, : length - math.ceil(overhang * rate)], round(_FADE_SECONDS * rate))
        notes.append(f"{name}: {overhang * 1000:.0f} ms cut off, MP3 frames would round it up over the limit.")
    write_mp3(path, samples, rate, max_bytes=bounds.max_bytes, name=name, cancelled=cancelled)
    return float(samples.shape[1] / rate)


def _write_wav(path: Path, samples: Samples, rate: int) -> None:
    steps = np.clip(np.rint(samples.T * np.float32(32768)), -32768, 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(steps.tobytes())
