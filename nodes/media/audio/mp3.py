"""MP3 encoding with LAME, whose limits are counted in frames and not in samples."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import Cancelled, MediaError, check_cancelled, megabytes
from .waveform import frame_of

if TYPE_CHECKING:
    from .waveform import Samples

MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""The sample rates of the format."""
_BITRATES = (320_000, 256_000, 224_000, 192_000, 160_000, 128_000, 96_000, 64_000, 48_000, 32_000)
_LOW_RATE_MAX = 160_000
"""The highest bit rate of MPEG-2 and 2.5, below 32 kHz."""
_PADDING = 1105 + 1152
"""Samples that encoder and decoder delay add, and room for what LAME flushes."""


def mp3_rate(rate: int) -> int:
    """Return the format's rate for audio of this rate: the same, else the next higher, else the highest."""
    return next((candidate for candidate in MP3_RATES if candidate >= rate), MP3_RATES[-1])


def longest_seconds(length: int, rate: int) -> float:
    """Return the longest duration, in seconds, that any reader may report for an MP3 of `length` samples.

    Readers that skip the encoder's padding see `length`. The others count whole frames, and some of them also the one
    that holds the LAME header.
    """
    frame = 1152 if rate >= 32_000 else 576
    return (math.ceil((length + _PADDING) / frame) + 1) * frame / rate


def write_mp3(
    path: Path, samples: Samples, rate: int, *, max_bytes: int, name: str, cancelled: Cancelled | None = None
) -> None:
    """Write float32 [C, T] at one of `MP3_RATES` with the highest constant bit rate that fits, or raise MediaError."""
    top = _BITRATES[0] if rate >= 32_000 else _LOW_RATE_MAX
    seconds = longest_seconds(samples.shape[1], rate)
    for bitrate in _BITRATES:
        if bitrate > top or bitrate * seconds / 8 > max_bytes * 1.05:
            continue
        _write(path, samples, rate, bitrate, cancelled)
        if path.stat().st_size <= max_bytes:
            return
    raise MediaError(f"{name} does not fit into {megabytes(max_bytes)} as MP3. Use shorter audio.")


def _write(path: Path, samples: Samples, rate: int, bitrate: int, cancelled: Cancelled | None) -> None:
    import av

    # FFmpeg's own tag would be metadata. The frame with the LAME header stays: it says how much is padding.
    with av.open(str(path), "w", format="mp3", options={"id3v2_version": "0", "write_xing": "1"}) as container:
        stream = container.add_stream("libmp3lame", rate=rate)
        stream.layout = "mono" if samples.shape[0] == 1 else "stereo"
        stream.bit_rate = bitrate
        for start in range(0, samples.shape[1], rate):  # one second at a time
            check_cancelled(cancelled)
            container.mux(stream.encode(frame_of(samples[:, start : start + rate], rate, start)))
        container.mux(stream.encode(None))
