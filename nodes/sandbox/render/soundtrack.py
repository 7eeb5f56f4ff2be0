"""The audio of the video: the driving audio, the audio of the clip, or a soft tone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Protocol

import av
import numpy as np

from ...core.channel_layout import usual_order
from ..inspect import sniff

Samples = np.ndarray[Any, np.dtype[np.float32]]
_FADE_SECONDS = 0.25


class Track(Protocol):
    """Endless audio, read from its beginning."""

    def read(self, count: int) -> Samples:
        """Return the next `count` samples, float32 [2, count]."""


class Tone:
    """A quiet chord with a slow beat. The seed chooses its pitch; the same seed gives the same samples."""

    def __init__(self, seed: int, rate: int) -> None:
        random = Random(seed)  # noqa: S311 - a tune, not a secret
        root = 110.0 * 2 ** (random.randrange(12) / 12)
        third = random.choice((6 / 5, 5 / 4))
        self._voices = [(root * ratio, random.random()) for ratio in (1.0, third, 1.5, 2.0)]
        self._rate, self._position = rate, 0

    def read(self, count: int) -> Samples:
        time = np.arange(self._position, self._position + count, dtype=np.float64) / self._rate
        self._position += count
        out = np.zeros((2, count))
        for pitch, phase in self._voices:
            swell = 0.6 + 0.4 * np.sin(2 * np.pi * (0.25 * time + phase))
            out[0] += np.sin(2 * np.pi * pitch * time) * swell
            out[1] += np.sin(2 * np.pi * pitch * time + phase) * swell
        fade = np.minimum(1.0, time / _FADE_SECONDS)
        return (out * fade * 0.04).astype(np.float32)


class Recording:
    """The audio of a file from its sample 0 on, as stereo at `rate`, followed by silence."""

    def __init__(self, path: Path, rate: int) -> None:
        self._chunks = _decoded(path, rate)
        self._rest: Samples = np.zeros((2, 0), np.float32)

    def read(self, count: int) -> Samples:
        parts = [self._rest]
        while sum(part.shape[1] for part in parts) < count:
            parts.append(next(self._chunks))
        whole = np.concatenate(parts, axis=1)
        self._rest = whole[:, count:]
        return whole[:, :count]


class Sequence:
    """`count` samples of one track, followed by another track."""

    def __init__(self, first: Track, count: int, then: Track) -> None:
        self._first, self._left, self._then = first, count, then

    def read(self, count: int) -> Samples:
        now = min(count, self._left)
        self._left -= now
        if now == count:
            return self._first.read(count)
        return np.concatenate([self._first.read(now), self._then.read(count - now)], axis=1)


def audio_rate(path: Path) -> int:
    """Return the sample rate of the audio in a file; 0 if the file has none."""
    with av.open(str(path), format=_format(path)) as container:
        stream = _audio_stream(container)
        return stream.rate if stream is not None else 0


def _audio_stream(container: Any) -> Any:
    """Return the first audio stream that there is a decoder for, or None."""
    return next((stream for stream in container.streams.audio if stream.codec_context is not None), None)


def _decoded(path: Path, rate: int) -> Iterator[Samples]:
    with av.open(str(path), format=_format(path)) as container:
        stream = _audio_stream(container)
        usual_order(stream)  # PyAV may crash on another one. Which channel is which does not matter here
        mono = stream.channels == 1
        resampler = av.AudioResampler(format="fltp", layout="mono" if mono else "stereo", rate=rate)
        # the audio of a clip may start after its video; an mp3 counts from before its first sample
        begin: float | None = (container.start_time or 0) / 1_000_000
        for frame in container.decode(stream):
            if begin is not None and frame.time is not None:
                yield np.zeros((2, max(0, round((frame.time - begin) * rate))), np.float32)
            begin = None
            frame.pts = None
            for part in resampler.resample(frame):
                yield _stereo(part.to_ndarray())
        for part in resampler.resample(None):
            yield _stereo(part.to_ndarray())
    while True:
        yield np.zeros((2, 1024), np.float32)


def _stereo(samples: Any) -> Samples:
    # not by the resampler, which would make mono 3 dB quieter
    return np.repeat(samples, 2, axis=0) if samples.shape[0] == 1 else samples


def _format(path: Path) -> str:
    """Return the demuxer for the content. FFmpeg must not guess: a playlist could name other files."""
    with path.open("rb") as file:
        kind = sniff(file.read(16))
    return {"mp4": "mov"}.get(kind, kind)
