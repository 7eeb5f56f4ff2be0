"""What happens between two shots: frames and audio that overlap, frames that repeat, and colors that jump.

Frames are yuv420p of one size, and are never changed in place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..image.pixels import plane_of

if TYPE_CHECKING:
    from av import VideoFrame
    from numpy.typing import NDArray

    from ..audio.waveform import Samples

CUT_FADE_SECONDS = Fraction(20, 1000)
"""Crossfade of the audio at a cut."""
_PATCH_SECONDS = Fraction(1, 10)
"""Audio that a shot lacks at its end, up to this, is made of its last audio: encoders and cuts leave such gaps."""
SEAM_FRAMES = 2
"""Frames on each side of a seam that are compared. With more, what moves or fades would look like a jump of colors."""
RAMP_SECONDS = 2
"""After a seam, matched colors return to the shot's own in this time: slow enough not to be seen."""
_GAIN = (0.5, 2.0)
"""The spread of a channel is changed by no more than this: a nearly flat frame says little about it."""
_BLOCK = 8
"""Pixels of a side of the blocks that are compared. Their means have hardly any noise of the encoder left."""
_SAME = np.array([0.2, 2.5])
"""Two frames that differ by less, on average and in any block, in 8-bit steps, look alike. The same frame encoded twice
was seen to differ by up to 0.18 on average and 2.2 in a block, frames of a slow camera move by 0.34 on average, and a
block of frames in which something small moves by 27."""
_OTHER_BRIGHTNESS = 16
"""8-bit steps. Shots that are made one after the other differ by less as a whole."""
_STEP = 4
"""Every so many pixels count for the colors of a frame."""


class FrameLane:
    """Frames of one shot after the other. `overlap` frames of a shot are mixed with the first ones of the next."""

    def __init__(self, write: Callable[[VideoFrame], None], overlap: int) -> None:
        self._write, self._overlap = write, overlap
        self._held: deque[VideoFrame] = deque()
        self._before: deque[VideoFrame] = deque()

    def add(self, frame: VideoFrame) -> None:
        """Take the next frame of the shot."""
        if self._before:
            weight = 1 - len(self._before) / (self._overlap + 1)
            frame = mixed(self._before.popleft(), frame, weight)
        self._held.append(frame)
        if len(self._held) > self._overlap:
            self._write(self._held.popleft())

    def end_shot(self) -> None:
        """Keep what the next shot is mixed with."""
        self._before, self._held = self._held, deque()

    def finish(self) -> None:
        """Write what no other shot follows."""
        for frame in self._before:
            self._write(frame)


class AudioLane:
    """Samples of one shot after the other, float32 [channels, T].

    If shots overlap, their audio is mixed at constant power. At a cut the end of a shot, played backwards, fades out
    under the beginning of the next one: no click, no hole, and nothing is moved. A shot whose audio ends a little early
    goes on with its last audio, played backwards. If more is missing, its audio fades out and silence follows.

    Args:
        audio: sample rate and channels of the film.
        fade: samples that a seam takes.
        overlapping: whether the shots overlap by them.
    """

    def __init__(
        self, write: Callable[[Samples], None], audio: tuple[int, int], fade: int, *, overlapping: bool
    ) -> None:
        self._write, self._fade, self._overlapping = write, fade, overlapping
        self._rate, channels = audio
        self._patch, self._fade_out = round(_PATCH_SECONDS * self._rate), round(CUT_FADE_SECONDS * self._rate)
        self._silent = 0  # samples that are silent because the shot's own had ended
        self._held = self._before = np.zeros((channels, 0), np.float32)
        self._weights = np.zeros((2, 0), np.float32)
        self._mixed = self._length = 0
        self.start = 0
        """Sample of the film that the shot begins with."""
        self.count = 0
        """Samples of the shot so far."""

    def begin_shot(self, end: int) -> None:
        """Begin a shot that ends before sample `end` of the film. What it has too much of is left out."""
        self.start += self.count - (self._before.shape[1] if self._overlapping else 0)
        self._length, self.count, self._mixed, self._silent = end - self.start, 0, 0, 0

    def add(self, samples: Samples) -> None:
        """Take the next samples of the shot."""
        samples = samples[:, : self._length - self.count]
        self.count += samples.shape[1]
        joined = np.concatenate([self._held, self._with_seam(samples)], axis=1)
        ready = max(0, joined.shape[1] - max(self._fade, self._patch))
        self._held = joined[:, ready:]
        self._write(joined[:, :ready])

    def fill_to(self, end: int) -> None:
        """Add silence up to sample `end` of the film, as no samples of the shot are left.

        A little that is missing is left to `end_shot`, which may have something better.
        """
        missing = min(end - self.start, self._length) - self.count
        if missing <= 0 or (missing <= self._patch and not self._silent):
            return
        if not self._silent:
            out = min(self._fade_out, self._held.shape[1])
            weights = np.ones(self._held.shape[1], np.float32)
            weights[weights.size - out :] = 1 - (np.arange(out, dtype=np.float32) + 0.5) / max(1, out)
            self._held = self._held * weights
        self._silent += missing
        self.add(np.zeros((self._held.shape[0], missing), np.float32))

    def end_shot(self) -> Fraction:
        """Fill what the shot lacks, and keep what the next one is mixed with. Return the seconds of silence added."""
        self.fill_to(self.start + self._length)
        missing = self._length - self.count
        if missing > 0:
            end = self._held if self._held.size else np.zeros((self._held.shape[0], 1), np.float32)
            self.add(np.pad(end, ((0, 0), (0, missing)), "symmetric")[:, -missing:])
        kept = max(0, self._held.shape[1] - self._fade)
        self._write(self._held[:, :kept])
        self._before = self._held[:, kept:]
        self._held = self._before[:, :0]
        steps = (np.arange(self._before.shape[1], dtype=np.float32) + 0.5) / max(1, self._before.shape[1])
        if self._overlapping:
            self._weights = np.stack([np.cos(steps * np.pi / 2), np.sin(steps * np.pi / 2)])
        else:
            self._write(self._before)
            self._before = self._before[:, ::-1]
            self._weights = np.stack([1 - steps, steps])
        return Fraction(self._silent, self._rate)

    def finish(self) -> None:
        """Write what no other shot follows."""
        if self._overlapping:
            self._write(self._before)

    def _with_seam(self, samples: Samples) -> Samples:
        """Return the samples of a shot with the end of the one before in its first ones."""
        count = min(samples.shape[1], self._before.shape[1] - self._mixed)
        if count <= 0:
            return samples
        seam = slice(self._mixed, self._mixed + count)
        self._mixed += count
        out, into = self._weights[:, seam]
        first = np.clip(self._before[:, seam] * out + samples[:, :count] * into, -1, 1)
        return np.concatenate([first, samples[:, count:]], axis=1)


def plane_at(frame: VideoFrame, index: int) -> NDArray[np.uint8]:
    """Return a view of the Y, U or V plane of a yuv420p frame with even sides."""
    half = 2 if index else 1
    return plane_of(frame, index, frame.width // half, frame.height // half)


def changed(frame: VideoFrame, change: Callable[[int, NDArray[np.uint8], NDArray[np.uint8]], None]) -> VideoFrame:
    """Return a new frame. `change` gets the index of a plane, the plane and the one to write to."""
    from av import VideoFrame as Frame

    result = Frame(frame.width, frame.height, "yuv420p")
    for index in range(3):
        change(index, plane_at(frame, index), plane_at(result, index))
    return result


def mixed(one: VideoFrame, other: VideoFrame, weight: float) -> VideoFrame:
    """Return a frame that is `other` with this weight (0-1) and `one` with the rest."""
    share = round(weight * 256)

    def mix(index: int, plane: NDArray[np.uint8], into: NDArray[np.uint8]) -> None:
        # The type is named in each step: numpy 1 would compute in 8 bits, as the factors fit into them.
        total = np.multiply(plane_at(one, index), 256 - share, dtype=np.uint16)
        total += np.multiply(plane, share, dtype=np.uint16)
        total += 128
        into[:] = total >> 8

    return changed(other, mix)


def repeats(before: Sequence[VideoFrame], after: Sequence[VideoFrame]) -> bool:
    """Return whether the first frame after a seam repeats the last one before it.

    It does if the two differ by less than half of what changes from frame to frame there, and by less than the last
    frame and the second one after the seam, both on average and in every block: something small may be all that moves.
    Brightness and color as a whole do not count: they often jump at a seam. Nor does a frame that the frame rate of the
    film repeats, which is the same object.

    Args:
        before: the last two frames, or the only one.
        after: the first two frames, or the only one.
    """
    if not before or not after:
        return False
    pairs = [pair for pair in (before[-2:], after[:2]) if len(pair) == 2 and pair[0] is not pair[1]]
    limits = [_difference(pair[0], pair[1]) / 2 for pair in pairs]
    if len(after) > 1 and after[0] is not after[1]:
        limits.append(_difference(before[-1], after[1]))
    same = np.maximum(_SAME, np.min(limits, axis=0)) if limits else _SAME
    return bool((_difference(before[-1], after[0]) < same).all())


def _difference(one: VideoFrame, other: VideoFrame) -> NDArray[np.float64]:
    """Return by how many 8-bit steps two frames differ, apart from what all blocks have in common.

    Returns:
        the mean of all blocks, and the brightness of the block that differs most.
    """
    differences = [_blocks(one, index) - _blocks(other, index) for index in range(3)]
    if abs(differences[0].mean()) > _OTHER_BRIGHTNESS:
        return np.array([np.inf, np.inf])
    parts = [np.abs(part - part.mean()) for part in differences]
    return np.array([max(part.mean() for part in parts), parts[0].max()])


def _blocks(frame: VideoFrame, index: int) -> NDArray[np.float64]:
    plane = plane_at(frame, index)
    rows, columns = (range(0, side, _BLOCK if index == 0 else _BLOCK // 2) for side in plane.shape)
    sums = np.add.reduceat(np.add.reduceat(plane, rows, axis=0, dtype=np.uint32), columns, axis=1, dtype=np.uint32)
    heights, widths = (np.diff([*starts, side]) for starts, side in zip((rows, columns), plane.shape, strict=True))
    means: NDArray[np.float64] = sums / np.outer(heights, widths)
    return means


def colors_of(frames: Iterable[VideoFrame]) -> NDArray[np.float64]:
    """Return mean and standard deviation of Y, U and V over some frames: [2, 3]."""
    frames = list(frames)
    planes = [[plane_at(frame, index)[::_STEP, ::_STEP].ravel() for frame in frames] for index in range(3)]
    channels = [np.concatenate(parts).astype(np.float64) for parts in planes]
    return np.array([[channel.mean() for channel in channels], [channel.std() for channel in channels]])


@dataclass(frozen=True)
class ColorMatch:
    """Brings a shot to the colors of the one before: wholly at the seam, less and less during `ramp` frames.

    `before` and `own` are the colors on both sides of the seam, as `colors_of` returns them.
    """

    before: NDArray[np.float64]
    own: NDArray[np.float64]
    ramp: int

    @property
    def step(self) -> float:
        """How far the means on both sides of the seam are apart, in 8-bit steps."""
        return float(np.abs(self.before[0] - self.own[0]).max())

    def __call__(self, frame: VideoFrame, number: int) -> VideoFrame:
        """Return the frame of that number in its shot with its colors matched."""
        if number >= self.ramp:
            return frame
        share = 1 - number / self.ramp
        values = np.arange(256, dtype=np.float64)
        (goal, wanted_spread), (mean, spread) = self.before, self.own
        gain = np.clip(wanted_spread / np.maximum(spread, 1e-6), *_GAIN)
        # Flat channels have no spread to compare.
        gain = np.where(np.minimum(spread, wanted_spread) < 1, 1.0, gain)
        matched = (values[None, :] - mean[:, None]) * gain[:, None] + goal[:, None]
        table = np.clip(np.rint(values + share * (matched - values)), 0, 255).astype(np.uint8)

        def look_up(index: int, plane: NDArray[np.uint8], into: NDArray[np.uint8]) -> None:
            np.take(table[index], plane, out=into, mode="clip")

        return changed(frame, look_up)
