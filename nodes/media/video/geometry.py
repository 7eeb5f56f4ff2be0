"""How stored frames are shown: mirrored or rotated by a display matrix, and with pixels that need not be square."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream

_MOST_ASPECT = 8
"""A pixel that is said to be wider or taller than this is a damaged header."""

_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to lay out an image: sides swapped first, then mirrored left to right and upside down."""

    swapped: bool = False
    mirrored: bool = False
    flipped: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height as shown of a stored size, or the other way round."""
        return (height, width) if self.swapped else (width, height)

    def shown(self, stored: NDArray[_Number]) -> NDArray[_Number]:
        """Return a view of a stored image [H, W, …] as it is shown."""
        image = stored.swapaxes(0, 1) if self.swapped else stored
        return image[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1]

    def stored(self, shown: NDArray[_Number]) -> NDArray[_Number]:
        """Return a view of a shown image [H, W, …] as it is stored: the inverse of `shown`."""
        image = shown[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1]
        return image.swapaxes(0, 1) if self.swapped else image


UPRIGHT = Orientation()


def orientation_of(frame: VideoFrame) -> Orientation:
    """Return the orientation of a decoded frame's display matrix. An angle that is not a right one counts as none."""
    from av.sidedata.sidedata import Type

    container: Any = frame.side_data
    data = container.get(Type.DISPLAYMATRIX)
    if data is not None:
        # x' = a·x + c·y and y' = b·x + d·y, in the order a b u c d v x y w.
        a, b, _, c, d = (int(value) for value in np.frombuffer(data, np.int32)[:5])
        if a and d and not b and not c:
            return Orientation(False, a < 0, d < 0)
        if b and c and not a and not d:
            return Orientation(True, c < 0, b < 0)
    return UPRIGHT


def square_size(width: int, height: int, stream: VideoStream) -> tuple[int, int]:
    """Return the stored size of a frame once its pixels are square: as high as it is, wider or narrower."""
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if aspect == 1 or not Fraction(1, _MOST_ASPECT) <= aspect <= _MOST_ASPECT:
        return width, height
    return max(2, round(width * aspect)), height
