"""What a medium shows, as a SHA-256 in which no encoder has a part.

It decides whether a request is one that was paid for already, so it must come out the same with every version of every
library, for years: whole numbers and the user's own bytes go in, and nothing that a codec, a resampler or a reader of
containers works out. Change what goes in and every request becomes a new one, to be paid for again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .files import sha256_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .audio.waveform import Samples

_VERSION = "wan27 content 1"
_SAMPLE_STEPS = np.float32(32768)


class Content:
    """Grows piece by piece, so that a clip is hashed while it passes to its encoder."""

    def __init__(self, kind: str) -> None:
        self._digest = hashlib.sha256()
        self.fact(_VERSION, kind)

    def fact(self, *values: object) -> None:
        """Texts and numbers whose str says all of them. Ends are marked: "1", "2" is not "12"."""
        self._digest.update("".join(f"{value}\n" for value in values).encode())

    def pixels(self, pixels: NDArray[np.uint8]) -> None:
        """One picture, uint8 [H, W, 3]; rows may be padded."""
        self.fact("pixels", *pixels.shape)
        self._digest.update(np.ascontiguousarray(pixels).data)

    def samples(self, samples: Samples, rate: int) -> None:
        """One sound, float32 [C, T] with full scale at 1, in the 16-bit steps that a WAV of it has.

        Take it before channels are mixed: how that is summed up, to the last bit, is the matrix library's affair.
        """
        self.fact("samples", *samples.shape, rate)
        for channel in samples:
            steps = np.rint(channel * _SAMPLE_STEPS)
            steps += np.float32(0)  # there is a -0 among them
            self._digest.update(steps.astype("<f4", copy=False).data)

    def hex(self) -> str:
        """The SHA-256 of all of it."""
        return self._digest.hexdigest()


def content_of_file(
    source: Path | BytesIO, trim: tuple[float, float], cancelled: Callable[[], bool] | None = None
) -> str:
    """Of a clip that lies in a file: the SHA-256 of the file, or of that and the part of it that is shown.

    trim: start and duration in seconds, as they were asked for; (0, 0) is the whole. Whether it is sent as it is or has
    to be encoded does not count: that follows from the file, and from how well a library reads it. Raises
    MediaCancelled.
    """
    whole = sha256_of(source, cancelled)
    if trim == (0.0, 0.0):
        return whole
    part = Content("part of a file")
    part.fact(whole, *(float(seconds) for seconds in trim))
    return part.hex()
