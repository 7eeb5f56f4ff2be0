"""Encoding of one image to a PNG, JPEG or WebP file inside the limits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.limits import ImageBounds, ImageFormat, OnLimit
from ..content_hash import ContentHash
from ..files import Cancelled, MediaError, MediaFile, check_cancelled, describe, megabytes, new_path
from .formats import JPEG_QUALITIES, WEBP_MAX_SIDE, WEBP_QUALITIES, jpeg, png, png_smaller, webp
from .pixels import check_aspect, fitted_size, sides_inside, to_rgb8

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_EXTENSIONS = {"png": "png", "jpeg": "jpg", "webp": "webp"}
_PNG_RETRY = 1.15
"""A PNG this much too large may still fit at the slower level: that gains 5 to 10 percent."""
_POOR_JPEG = 80
"""Below this quality WebP can look better than JPEG, so both are made and compared."""
_WEBP_PIXELS = 25_000_000
"""Beyond this WebP takes half a minute and mostly gives up."""


@dataclass
class _Job:
    """An image on its way to a file.

    Attributes:
        pixels: uint8 [H, W, 3], as they are to be encoded.
        strict: refuse what is outside the limits instead of fitting it.
        whole: the pixels before they were scaled down to save bytes, None if they were not.
        smallest: bytes of the smallest file that the last encoder made of `pixels`.
    """

    pixels: NDArray[np.uint8]
    name: str
    bounds: ImageBounds
    strict: bool
    cancelled: Cancelled | None
    notes: list[str] = field(default_factory=list)
    whole: NDArray[np.uint8] | None = None
    smallest: int = 0

    @property
    def size(self) -> tuple[int, int]:
        return int(self.pixels.shape[1]), int(self.pixels.shape[0])

    @property
    def limit(self) -> str:
        return megabytes(self.bounds.max_bytes)

    def note(self, text: str) -> None:
        self.notes.append(f"{self.name}: {text}")

    def scale(self, pixels: NDArray[np.uint8], size: tuple[int, int]) -> None:
        from PIL import Image

        scaled = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.LANCZOS)
        self.pixels = np.asarray(scaled)


def encode_image(
    image: torch.Tensor,
    bounds: ImageBounds,
    *,
    directory: Path,
    format: ImageFormat = "auto",
    on_limit: OnLimit = "fit",
    index: int = 0,
    cancelled: Cancelled | None = None,
) -> MediaFile:
    """Write one image as sRGB, 8 bits, without transparency and without metadata, inside `bounds`.

    Args:
        image: [H, W, C] with C 1, 3 or 4; float 0..1 of any dtype and device (clamped, rounded), or uint8.
        format: auto keeps PNG while it fits, else the best JPEG or WebP that does.
        on_limit: fit scales, flattens transparency on white and compresses as far as needed, and says so in `notes`;
            error refuses.
        index: place in the batch, for error texts.

    Raises:
        MediaError: also for fit if the image holds NaN, has a wrong shape or an aspect beyond the limit.
    """
    name = f"Image {index + 1}"
    pixels, transparent = to_rgb8(image, name=name)
    job = _Job(pixels, name, bounds, on_limit == "error", cancelled)
    if transparent:
        if job.strict:
            raise MediaError(
                f"{name} has transparent pixels, which the service does not take. Flatten it, or set on_limit to fit."
            )
        job.note("transparency flattened on white.")
    check_cancelled(cancelled)
    content = ContentHash("picture")
    content.update_pixels(pixels)
    _fit_sides(job)
    found, data = _encode(job, format)
    content.update_fields(_hashed_format(job, format, found))
    check_cancelled(cancelled)
    path = new_path(directory, _EXTENSIONS[found])
    path.write_bytes(data)
    return describe(path, content=content.hexdigest(), notes=tuple(job.notes))


def _hashed_format(job: _Job, asked: str, found: str) -> str:
    """Return what separates the files of one image that the user wants separate.

    auto means PNG first of all. If a PNG was too large, the format it became does not count: the size depends on the
    encoder. A PNG that was asked for and had to shrink differs from what auto makes then.
    """
    if asked == "auto":
        return "png"
    return "small png" if found == "png" and job.whole is not None else _EXTENSIONS[found]


def _fit_sides(job: _Job) -> None:
    (width, height), bounds = job.size, job.bounds
    check_aspect(width, height, bounds.max_aspect, name=job.name)
    if sides_inside(width, height, bounds):
        return
    if job.strict:
        raise MediaError(
            f"{job.name} is {width}×{height} px; both sides must be {bounds.min_side} to {bounds.max_side} px. "
            "Scale it, or set on_limit to fit."
        )
    size = fitted_size(width, height, bounds)
    job.scale(job.pixels, size)
    job.note(f"scaled from {width}×{height} to {size[0]}×{size[1]} px.")


def _encode(job: _Job, format: str) -> tuple[str, bytes]:
    """Return format and bytes of the best file that fits, of smaller pixels if there is no other way."""
    width, height = job.size
    while (found := _encode_unscaled(job, format)) is None:
        if job.strict:
            raise MediaError(
                f"{job.name} takes {megabytes(job.smallest)} as {format} at {width}×{height} px; the limit is "
                f"{job.limit}. Choose format auto, scale it, or set on_limit to fit."
            )
        _shrink(job, format)
    if job.size != (width, height):
        job.note(f"scaled from {width}×{height} to {job.size[0]}×{job.size[1]} px to stay under {job.limit}.")
    return found


def _shrink(job: _Job, format: str) -> None:
    """Scale down by as much as the smallest file was too large: the last resort."""
    bounds, (width, height) = job.bounds, job.size
    if job.whole is None:
        job.whole = job.pixels
    factor = min(0.95, 0.98 * (bounds.max_bytes / job.smallest) ** 0.5)
    long, short = max(width, height), min(width, height)
    longest = max(int(long * factor), -(-bounds.min_side * long // short))
    whole_height, whole_width = job.whole.shape[:2]
    size = fitted_size(whole_width, whole_height, replace(bounds, max_side=min(longest, bounds.max_side)))
    if size == job.size:
        raise MediaError(
            f"{job.name} takes {megabytes(job.smallest)} as {format} even at {width}×{height} px; the limit is "
            f"{job.limit}. Choose format auto."
        )
    job.scale(job.whole, size)


def _encode_unscaled(job: _Job, format: str) -> tuple[str, bytes] | None:
    """Return format and bytes of the best file of these pixels that fits; None if none does."""
    if format == "auto":
        return _encode_unscaled(job, "png") or _best_lossy(job)
    if format == "png":
        data = _png(job)
        return ("png", data) if len(data) <= job.bounds.max_bytes else None
    if format == "webp" and max(job.size) > WEBP_MAX_SIDE:
        raise MediaError(
            f"{job.name} is {job.size[0]}×{job.size[1]} px; a WebP file holds {WEBP_MAX_SIDE} px at most. "
            "Choose format auto, png or jpeg."
        )
    if (found := _lossy(job, format, best_only=job.strict)) is None:
        return None
    quality, data = found
    if quality < (JPEG_QUALITIES if format == "jpeg" else WEBP_QUALITIES)[0]:
        job.note(f"quality {quality}, to stay under {job.limit}.")
    return format, data


def _png(job: _Job) -> bytes:
    check_cancelled(job.cancelled)
    limit = job.bounds.max_bytes
    data = png(job.pixels)
    if limit < len(data) <= limit * _PNG_RETRY:
        check_cancelled(job.cancelled)
        data = png_smaller(job.pixels)
    job.smallest = len(data)
    return data


def _best_lossy(job: _Job) -> tuple[str, bytes] | None:
    """Return format and bytes of the JPEG or WebP that differs least from the image; None if neither fits."""
    chosen, best = "jpeg", _lossy(job, "jpeg")
    webp_is_possible = max(job.size) <= WEBP_MAX_SIDE and job.size[0] * job.size[1] <= _WEBP_PIXELS
    if (best is None or best[0] < _POOR_JPEG) and webp_is_possible:
        other = _lossy(job, "webp")
        if other is not None and (best is None or _error(job, other[1]) < _error(job, best[1])):
            chosen, best = "webp", other
    if best is None:
        return None
    label = {"jpeg": "JPEG", "webp": "WebP"}[chosen]
    job.note(f"sent as {label} of quality {best[0]}; a PNG would be over {job.limit}.")
    return chosen, best[1]


def _lossy(job: _Job, format: str, *, best_only: bool = False) -> tuple[int, bytes] | None:
    """Return the highest quality whose file fits, and the file, or None. A lower quality never makes a larger file."""
    encode, qualities = (jpeg, JPEG_QUALITIES) if format == "jpeg" else (webp, WEBP_QUALITIES)
    found = None
    first, last = 0, 1 if best_only else len(qualities)
    middle = 0  # the best one first: it mostly fits
    while first < last:
        check_cancelled(job.cancelled)
        data = encode(job.pixels, qualities[middle])
        if data is not None and len(data) <= job.bounds.max_bytes:
            found, last = (qualities[middle], data), middle
        else:
            job.smallest = len(data) if data is not None else 2 * job.bounds.max_bytes
            first = middle + 1
        middle = (first + last) // 2
    return found


def _error(job: _Job, data: bytes) -> float:
    """Return the mean squared difference between the image and a file of it, on every 4th row."""
    from PIL import Image

    with Image.open(BytesIO(data)) as opened:
        decoded = np.asarray(opened.convert("RGB"))
    difference = decoded[::4].astype(np.int16) - job.pixels[::4]
    return float(np.mean(np.square(difference, dtype=np.int32)))
