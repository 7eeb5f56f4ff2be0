"""MP3 by LAME. A file of its own because MP3 counts in frames, and its limits are not those of the samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import MediaCancelled, MediaError, megabytes

if TYPE_CHECKING:
    from .waveform import Samples

MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""The sample rates the format has."""
_BITRATES = (320_000, 256_000, 224_000, 192_000, 160_000, 128_000, 96_000, 64_000, 48_000, 32_000)
_LOW_RATE_MAX = 160_000
"""MPEG-2 and 2.5, below 32 kHz, end here."""
_PADDING = 1105 + 1152
"""Samples that encoder and decoder delay add, and room for what LAME flushes."""
_BLOCK_SECONDS = 1


def mp3_rate(rate: int) -> int:
    """The rate of the format to use for a sound of this rate: the same, else the next higher, else the highest."""
    return next((candidate for candidate in MP3_RATES if candidate >= rate), MP3_RATES[-1])


def frame_samples(rate: int) -> int:
    """Samples in one frame: 1152, and half of it below 32 kHz."""
    return 1152 if rate >= 32_000 else 576


def frames_seconds(length: int, rate: int) -> float:
    """The longest that a reader can take an MP3 of `length` samples for.

    Readers that skip the encoder's padding see `length`; the others count whole frames, and some the one that holds the
    LAME header too.
    """
    frame = frame_samples(rate)
    return (math.ceil((length + _PADDING) / frame) + 1) * frame / rate


def write_mp3(
    path: Path,
    samples: Samples,
    rate: int,
    *,
    max_bytes: int,
    name: str,
    cancelled: Callable[[], bool] | None = None,
) -> None:
    """Write [C, T] float32 at one of `MP3_RATES` with the highest constant bit rate that fits. Raises MediaError."""
    top = _BITRATES[0] if rate >= 32_000 else _LOW_RATE_MAX
    seconds = frames_seconds(samples.shape[1], rate)
    for bitrate in _BITRATES:
        if bitrate > top or bitrate * seconds / 8 > max_bytes * 1.05:
            continue
        _write(path, samples, rate, bitrate, cancelled)
        if path.stat().st_size <= max_bytes:
            return
    raise MediaError(f"{name} does not fit into {megabytes(max_bytes)} as MP3. Take a shorter one.")


def _write(path: Path, samples: Samples, rate: int, bitrate: int, cancelled: Callable[[], bool] | None) -> None:
    import av
    import numpy as np

    layout = "mono" if samples.shape[0] == 1 else "stereo"
    step = _BLOCK_SECONDS * rate
    # FFmpeg's own tag would be metadata; the frame with the LAME header stays, it tells how much is padding.
    with av.open(str(path), "w", format="mp3", options={"id3v2_version": "0", "write_xing": "1"}) as container:
        stream = container.add_stream("libmp3lame", rate=rate)
        stream.layout = layout
        stream.bit_rate = bitrate
        for start in range(0, samples.shape[1], step):
            if cancelled is not None and cancelled():
                raise MediaCancelled
            block = np.ascontiguousarray(samples[:, start : start + step])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate = rate
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
