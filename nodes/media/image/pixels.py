"""8-bit RGB pixels: made of float images, as planes of FFmpeg's frames, and scaled to fit a limit."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.limits import ClipBounds, ImageBounds, within_aspect
from ..files import MediaError, check_readable

if TYPE_CHECKING:
    import torch
    from av import VideoFrame
    from numpy.typing import NDArray

_SLAB_VALUES = 1 << 18
"""Values converted at a time. 1 MiB of float32 stays in the cache of a core: 3 times faster than whole frames."""


def check_batch(image: Any) -> None:
    """Raise MediaError for what is not an IMAGE of at least one image."""
    import torch

    if image is None:
        raise MediaError("image is None: the node linked to it delivered no image. Look at that node.")
    if not isinstance(image, torch.Tensor) or image.dim() != 4:
        found = "×".join(map(str, image.shape)) if isinstance(image, torch.Tensor) else type(image).__name__
        raise MediaError(f"image is not an IMAGE but {found}; batch × height × width × channels is needed.")
    check_readable(image, name="image")
    if len(image) == 0:
        raise MediaError("The image is an empty batch: it contains no image. Look at the node that made it.")


def to_rgb8(image: torch.Tensor, *, name: str, out: NDArray[np.uint8] | None = None) -> tuple[NDArray[np.uint8], bool]:
    """Convert an image to 8-bit RGB, flattened on white. Return it, and whether any pixel was transparent.

    Args:
        image: [H, W, C] with C 1 (grey), 3 or 4 (straight alpha), any device, dtype or strides. Floating point values
            are 0..1 (clamped) and rounded to the nearest of 256 steps; uint8 is kept, bool is black and white.
        out: uint8 [H, W, 3] to write to; rows may be padded. None makes a new array.

    Raises:
        MediaError: another shape or dtype, or NaN.
    """
    if image.dim() != 3 or image.shape[2] not in (1, 3, 4) or 0 in image.shape:
        shape = "×".join(str(n) for n in image.shape) or "a single number"
        raise MediaError(f"{name} has the shape {shape}; height × width × channels with 1, 3 or 4 channels is needed.")
    height, width, channels = (int(n) for n in image.shape)
    if out is None:
        out = np.empty((height, width, 3), np.uint8)
    rows = max(1, _SLAB_VALUES // (width * channels))
    transparent = False
    for top in range(0, height, rows):
        slab = _as_steps(image[top : top + rows], name)
        if channels == 4:
            transparent |= _onto_white(slab)
        # Adding a half and truncating is rounding, for values that are not negative.
        slab += np.float32(0.5)
        out[top : top + rows] = slab[..., :3]  # a single channel is repeated
    return out, transparent


def _as_steps(part: torch.Tensor, name: str) -> NDArray[np.float32]:
    """Return some rows as a new float32 array of 0..255."""
    import torch

    eight_bits = part.dtype == torch.uint8
    if not (eight_bits or part.is_floating_point() or part.dtype == torch.bool):
        raise MediaError(f"{name} holds {part.dtype} values; ComfyUI images are floating point, 0 to 1.")
    values = part.detach().to("cpu", torch.float32)
    if eight_bits:
        whole: NDArray[np.float32] = values.numpy()
        return whole
    steps: NDArray[np.float32] = np.clip(values.numpy(), 0, 1, order="C")  # removes infinities, not NaN
    steps *= np.float32(255)
    if np.isnan(steps.sum()):
        raise MediaError(f"{name} holds NaN (not a number); values must be 0 to 1. Look at the node that made it.")
    return steps


def _onto_white(slab: NDArray[np.float32]) -> bool:
    """Flatten straight alpha (the 4th channel, 0..255) on white, in place. Return whether anything was transparent."""
    alpha = slab[..., 3:]
    if float(alpha.min()) >= 254.5:
        return False
    slab[..., :3] = (slab[..., :3] - 255) * (alpha / np.float32(255)) + 255
    return True


def sides_inside(width: int, height: int, bounds: ImageBounds | ClipBounds) -> bool:
    """Return whether both sides are within the limits."""
    return bounds.min_side <= min(width, height) and max(width, height) <= bounds.max_side


def check_aspect(width: int, height: int, max_aspect: float, *, name: str) -> None:
    """Raise MediaError if one side is more than `max_aspect` times the other, which scaling cannot change."""
    if not within_aspect(width, height, max_aspect):
        ratio = max(width, height) / min(width, height)
        raise MediaError(
            f"{name} is {width}×{height} px, an aspect of {ratio:.4g}:1; the limit is {max_aspect:g}:1 either way. "
            "Crop or pad it first."
        )


def fitted_size(width: int, height: int, bounds: ImageBounds | ClipBounds, *, even: bool = False) -> tuple[int, int]:
    """Return the nearest size of the same aspect that has both sides within the limits, or raise MediaError.

    With `even`, both sides are multiples of 2, as 4:2:0 video needs.
    """
    step = 2 if even else 1
    long, short = max(width, height), min(width, height)
    scale = Fraction(1)
    if short < bounds.min_side:
        scale = Fraction(bounds.min_side, short)
    elif long > bounds.max_side:
        scale = Fraction(bounds.max_side, long)
    new_long = min(_to_step(long * scale, step), bounds.max_side // step * step)
    lowest = max(Fraction(bounds.min_side), new_long / Fraction(bounds.max_aspect).limit_denominator(10_000))
    new_short = max(_to_step(short * scale, step), -int(-lowest // step) * step)
    if new_short > new_long or new_long > bounds.max_side:
        raise MediaError(
            f"No size of the aspect {width}:{height} has both sides within {bounds.min_side} to {bounds.max_side} px. "
            "Crop or pad it first."
        )
    return (new_long, new_short) if width >= height else (new_short, new_long)


def _to_step(value: Fraction, step: int) -> int:
    return max(step, round(value / step) * step)


def plane_of(frame: VideoFrame, index: int, width: int, height: int, channels: int = 1) -> NDArray[np.uint8]:
    """Return a view of the bytes of one plane, [height, width] or [height, width, channels], rows padded by FFmpeg."""
    plane = frame.planes[index]
    shape = (height, width) if channels == 1 else (height, width, channels)
    strides = (plane.line_size, 1) if channels == 1 else (plane.line_size, channels, 1)
    view: NDArray[np.uint8] = np.ndarray(shape, np.uint8, buffer=memoryview(plane), strides=strides)
    return view
