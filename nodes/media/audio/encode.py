"""Encoding of one AUDIO to a WAV or MP3 file inside the limits."""

from __future__ import annotations

import math
import wave
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.limits import AudioBounds, AudioFormat, OnLimit
from ..content_hash import ContentHash
from ..files import Cancelled, MediaError, MediaFile, check_cancelled, describe, megabytes, new_path, removed_on_error
from .mp3 import longest_seconds, mp3_rate, write_mp3
from .waveform import fade_out, mix_down, parts, resample, to_float, without_clipping

if TYPE_CHECKING:
    from .waveform import Samples

_WAV_HEADER = 44
_WAV_RATES = (8_000, 192_000)
"""The lowest and highest sample rate that is written; others are changed to the nearer one."""
_WAV_SMALLER = (96_000, 48_000, 44_100, 32_000, 24_000, 16_000)
_FADE_SECONDS = 0.03


@dataclass(frozen=True)
class HostMinimum:
    """The shortest audio that a host takes, if that is longer than the model's. `title`: how to name the host."""

    seconds: float
    title: str

    def __str__(self) -> str:
        return f"at least {self.seconds:g} s at {self.title}"


@dataclass
class _Job:
    """Audio on its way to a file. samples: float32 [C, T] with one or two channels. strict: refuse, do not fit."""

    samples: Samples
    rate: int
    name: str
    bounds: AudioBounds
    strict: bool
    cancelled: Cancelled | None
    least: HostMinimum | None = None
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(f"{self.name}: {text}")

    def cut(self, length: int) -> None:
        """Keep the first `length` samples, with a fade at their end."""
        self.samples = fade_out(self.samples[:, :length], round(_FADE_SECONDS * self.rate))

    def pad(self) -> None:
        """Add silence until the audio is as long as the host needs it."""
        missing = 0 if self.least is None else math.ceil(self.least.seconds * self.rate) - int(self.samples.shape[1])
        if self.least is not None and missing > 0:
            self.samples = np.pad(self.samples, ((0, 0), (0, missing)))
            self.note(f"{missing / self.rate:.2f} s of silence added at the end, as {self.least} are needed.")

    def wav_size(self, rate: int) -> int:
        """Return the size in bytes of a WAV at another rate."""
        channels, length = (int(n) for n in self.samples.shape)
        return _WAV_HEADER + 2 * channels * round(length * rate / self.rate)


def encode_audio(
    audio: Mapping[str, Any],
    bounds: AudioBounds,
    *,
    directory: Path,
    format: AudioFormat = "auto",
    on_limit: OnLimit = "fit",
    index: int = 0,
    least: HostMinimum | None = None,
    cancelled: Cancelled | None = None,
) -> MediaFile:
    """Write one item of an AUDIO as 16-bit WAV or as MP3, mono or stereo, inside `bounds`.

    More than two channels are mixed down. Audio above full scale is turned down as a whole. Silence is fine.

    Args:
        audio: {"waveform": [B, C, T], "sample_rate": samples per second}, any dtype and device, full scale -1..1.
        format: auto writes a WAV if it fits into the size.
        on_limit: fit cuts audio that is too long, with a short fade, and says so in `notes`; error refuses.
        least: fit adds silence to audio that is inside `bounds` but too short for the host. It does not change what the
            audio is identified by.

    Raises:
        MediaError: also for fit if the audio is too short, holds NaN or has a wrong shape.
    """
    strict, name = on_limit == "error", f"Audio {index + 1}"
    waveform, rate = parts(audio)
    length = int(waveform.shape[2])
    kept = to_float(waveform[index, :, : _kept_length(length, rate, bounds, strict, name)], name=name)
    least = least if least is not None and least.seconds > bounds.min_seconds else None
    if strict:
        _check_least(length, rate, least, name)
    content = ContentHash("sound")
    content.update_samples(kept, rate)
    job = _Job(mix_down(kept), rate, name, bounds, strict, cancelled, least)
    if kept.shape[0] > 2:
        job.note(f"{kept.shape[0]} channels mixed down to stereo.")
    if kept.shape[1] < length:
        job.cut(kept.shape[1])
        job.note(f"cut from {length / rate:.2f} s to {bounds.max_seconds:g} s.")
    check_cancelled(cancelled)
    extension, new_rate = _choose_form(job, format)
    content.update_fields(extension)
    if new_rate != rate:
        job.note(f"sample rate changed from {rate} to {new_rate} Hz.")
        job.samples, job.rate = resample(job.samples, rate, new_rate), new_rate
    job.pad()
    check_cancelled(cancelled)
    job.samples, peak = without_clipping(job.samples)
    if peak > 1:
        job.note(f"turned down by {20 * math.log10(peak):.1f} dB, it was above full scale.")
    check_cancelled(cancelled)
    path = new_path(directory, extension)
    with removed_on_error(path):
        (_write_mp3 if extension == "mp3" else _write_wav)(path, job)
    seconds = float(job.samples.shape[1] / job.rate)
    return describe(path, content=content.hexdigest(), seconds=seconds, notes=tuple(job.notes))


def _check_least(length: int, rate: int, least: HostMinimum | None, name: str) -> None:
    if least is not None and length < least.seconds * rate:
        raise MediaError(
            f"{name} lasts {_seconds(length, rate)}; {least} are needed. Set on_limit to fit, which adds silence at "
            "its end, or take a longer one."
        )


def _kept_length(length: int, rate: int, bounds: AudioBounds, strict: bool, name: str) -> int:
    """Return how many samples are kept. Counted in samples, so that the limits are exact."""
    if length < bounds.min_seconds * rate:
        raise MediaError(
            f"{name} lasts {_seconds(length, rate)}; at least {bounds.min_seconds:g} s are needed. "
            "Add silence at its end or take a longer one."
        )
    most = math.floor(bounds.max_seconds * rate)
    if length > most and strict:
        raise MediaError(
            f"{name} lasts {_seconds(length, rate)}; the limit is {bounds.max_seconds:g} s. "
            "Trim it, or set on_limit to fit."
        )
    return min(length, most)


def _seconds(length: int, rate: int) -> str:
    """Format seconds with enough digits to differ from a limit."""
    return f"{length / rate:.5f}".rstrip("0").rstrip(".") + " s"


def _choose_form(job: _Job, format: AudioFormat) -> tuple[str, int]:
    """Return extension and sample rate: the audio's own, or the nearest that the format has and the size allows."""
    rate, most = min(max(job.rate, _WAV_RATES[0]), _WAV_RATES[1]), job.bounds.max_bytes
    if format == "mp3":
        return "mp3", mp3_rate(job.rate)
    if (size := job.wav_size(rate)) <= most:
        return "wav", rate
    if format == "auto":
        job.note(f"sent as MP3; a WAV would be over {megabytes(most)}.")
        return "mp3", mp3_rate(job.rate)
    if not job.strict:
        for candidate in _WAV_SMALLER:
            if candidate < job.rate and job.wav_size(candidate) <= most:
                return "wav", candidate
    raise MediaError(
        f"{job.name} takes {megabytes(size)} as WAV; the limit is {megabytes(most)}. Choose format auto or mp3."
    )


def _write_mp3(path: Path, job: _Job) -> None:
    """Write an MP3, cut so far that its frames, padding included, are not longer than the limit."""
    length = job.samples.shape[1]
    overhang = longest_seconds(length, job.rate) - job.bounds.max_seconds
    if overhang > 0:
        if job.strict:
            raise MediaError(
                f"{job.name} lasts {_seconds(length, job.rate)}, which MP3 frames round up over the limit of "
                f"{job.bounds.max_seconds:g} s. Choose format wav, or set on_limit to fit."
            )
        job.cut(length - math.ceil(overhang * job.rate))
        job.note(f"{overhang * 1000:.0f} ms cut off, MP3 frames would round it up over the limit.")
    write_mp3(path, job.samples, job.rate, max_bytes=job.bounds.max_bytes, name=job.name, cancelled=job.cancelled)


def _write_wav(path: Path, job: _Job) -> None:
    steps = np.clip(np.rint(job.samples.T * np.float32(32768)), -32768, 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(job.samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(job.rate)
        file.writeframes(steps.tobytes())
