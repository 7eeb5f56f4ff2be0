"""Encoder-independent content hash (SHA-256) of an image, audio or clip.

It decides whether a request was already submitted. So it must come out the same with every version of every library,
for years: only whole numbers and the user's own bytes go in, and nothing that a codec, resampler or demuxer computes.
If what goes in changes, every request becomes a new one, and users pay for it again.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from .files import Cancelled, Source, sha256_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .audio.waveform import Samples

_VERSION = "wan27 content 1"
_SAMPLE_STEPS = np.float32(32768)


class ContentHash:
    """A hash that grows piece by piece, so that a clip is hashed while its frames pass to the encoder.

    `kind` is a word that separates the kinds of media. It is hashed, so it never changes.
    """

    def __init__(self, kind: str) -> None:
        self._digest = hashlib.sha256()
        self.update_fields(_VERSION, kind)

    def update_fields(self, *values: object) -> None:
        """Add texts and numbers whose str is exact. Each one is terminated: "1", "2" differs from "12"."""
        self._digest.update("".join(f"{value}\n" for value in values).encode())

    def update_pixels(self, pixels: NDArray[np.uint8]) -> None:
        """Add one image, uint8 [H, W, 3]; rows may be padded."""
        self.update_fields("pixels", *pixels.shape)
        self._digest.update(np.ascontiguousarray(pixels).data)

    def update_samples(self, samples: Samples, rate: int) -> None:
        """Add audio in the 16-bit steps that a WAV of it has.

        `samples` are float32 [C, T] with full scale at 1, before channels are mixed: the last bit of a mixed sample
        depends on the matrix library.
        """
        self.update_fields("samples", *samples.shape, rate)
        for channel in samples:
            steps = np.rint(channel * _SAMPLE_STEPS)
            steps += np.float32(0)  # turns -0 into 0
            self._digest.update(steps.astype("<f4", copy=False).data)

    def hexdigest(self) -> str:
        """Return the hash of everything added so far."""
        return self._digest.hexdigest()


def content_of_file(source: Source, trim: tuple[float, float], cancelled: Cancelled | None = None) -> str:
    """Return the content hash of a clip in a file, or of a part of it.

    Whether the file is sent as it is or encoded does not count: that follows from the file, and from how well a library
    reads it.

    Args:
        trim: start and duration in seconds, as they were asked for; (0, 0) is the whole file, hashed byte by byte.
    """
    whole = sha256_of(source, cancelled)
    if trim == (0.0, 0.0):
        return whole
    part = ContentHash("part of a file")
    part.update_fields(whole, *(float(seconds) for seconds in trim))
    return part.hexdigest()
