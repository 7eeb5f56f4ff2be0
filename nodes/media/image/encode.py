"""One picture to a PNG, JPEG or WebP file inside the limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.limits import IMAGE_FORMATS, ON_LIMIT, ImageBounds, ImageFormat, OnLimit
from ..content_hash import ContentHash
from ..files import MediaCancelled, MediaError, MediaFile, describe, megabytes, new_path
from .formats import JPEG_QUALITIES, WEBP_MAX_SIDE, WEBP_QUALITIES, jpeg, png, png_smaller, webp
from .pixels import check_aspect, fitted_size, to_rgb8

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_Encoder = Callable[["NDArray[np.uint8]", int], "bytes | None"]

_PNG_RETRY = 1.15
"""A PNG this much too large may still fit at the slower level: that gains 5 to 10 percent."""
_POOR_JPEG = 80
"""Below this quality WebP can look better than JPEG, so both are made and compared."""
_WEBP_PIXELS = 25_000_000
"""Beyond this WebP takes half a minute and mostly gives up."""


@dataclass
class _Attempt:
    """A picture on its way to a file.

    pixels: as they are to be encoded. whole: as they were before they had to shrink. smallest: bytes of the smallest
    file that the last encoder tried made of `pixels`.
    """

    pixels: NDArray[np.uint8]
    bounds: ImageBounds
    name: str
    notes: list[str] = field(default_factory=list)
    cancelled: Callable[[], bool] | None = None
    whole: NDArray[np.uint8] | None = None
    smallest: int = 0

    @property
    def size(self) -> tuple[int, int]:
        return int(self.pixels.shape[1]), int(self.pixels.shape[0])

    def check_cancelled(self) -> None:
        if self.cancelled is not None and self.cancelled():
            raise MediaCancelled

    def scale(self, size: tuple[int, int]) -> None:
        from PIL import Image

        scaled = Image.fromarray(np.ascontiguousarray(self.pixels)).resize(size, Image.Resampling.LANCZOS)
        self.pixels = np.asarray(scaled)


def encode_image(
    image: torch.Tensor,
    bounds: ImageBounds,
    *,
    directory: Path,
    format: ImageFormat = "auto",
    on_limit: OnLimit = "fit",
    index: int = 0,
    cancelled: Callable[[], bool] | None = None,
) -> MediaFile:
    """Write one picture as sRGB, 8 bits, without transparency and without metadata, inside `bounds`.

    image: [H, W, C] with C 1, 3 or 4; float 0..1 of any dtype and device (clamped, rounded), or uint8. index: its place
    in the batch, for error texts. format auto keeps PNG while it fits, else the best JPEG or WebP that does. on_limit
    fit scales, flattens transparency on white and compresses as far as needed and says so in `notes`; error refuses.

    Raises MediaError (also for fit: NaN, a wrong shape, an aspect beyond the limit) and MediaCancelled.
    """
    if format not in IMAGE_FORMATS or on_limit not in ON_LIMIT:
        raise MediaError(f"format {format!r} or on_limit {on_limit!r} is none of {IMAGE_FORMATS} and fit, error.")
    name = f"Image {index + 1}"
    attempt = _Attempt(_pixels(image, name), bounds, name, cancelled=cancelled)
    if _flatten(image, attempt) and on_limit == "error":
        raise MediaError(
            f"{name} has transparent pixels, which the service does not take. Flatten it, or set on_limit to fit."
        )
    attempt.check_cancelled()
    content = ContentHash("picture")
    content.update_pixels(attempt.pixels)
    _bring_sides_inside(attempt, on_limit)
    extension, data = _encode(attempt, format, on_limit)
    content.update_fields(_asked_for(attempt, format, extension))
    attempt.check_cancelled()
    path = new_path(directory, extension)
    path.write_bytes(data)
    width, height = attempt.size
    return describe(path, content=content.hexdigest(), width=width, height=height, notes=tuple(attempt.notes))


def _asked_for(attempt: _Attempt, format: str, extension: str) -> str:
    """What tells files of one picture apart that somebody wanted apart.

    auto is a PNG first of all. That it became something else where a PNG was too large does not count: how large one is
    depends on the encoder. A PNG that was asked for and had to shrink is another file than auto makes then.
    """
    if format == "auto":
        return "png"
    return "small png" if extension == "png" and attempt.whole is not None else extension


def _pixels(image: torch.Tensor, name: str) -> NDArray[np.uint8]:
    if image.dim() != 3:
        raise MediaError(f"{name} has {image.dim()} dimensions; height, width and channels are needed.")
    return np.empty((int(image.shape[0]), int(image.shape[1]), 3), np.uint8)


def _flatten(image: torch.Tensor, attempt: _Attempt) -> bool:
    transparent = to_rgb8(image, attempt.pixels, name=attempt.name)
    if transparent:
        attempt.notes.append(f"{attempt.name}: transparency laid on white.")
    return transparent


def _bring_sides_inside(attempt: _Attempt, on_limit: str) -> None:
    (width, height), bounds = attempt.size, attempt.bounds
    check_aspect(width, height, bounds.max_aspect, name=attempt.name)
    if bounds.min_side <= min(width, height) and max(width, height) <= bounds.max_side:
        return
    if on_limit == "error":
        raise MediaError(
            f"{attempt.name} is {width}×{height} px; both sides must be {bounds.min_side} to {bounds.max_side} px. "
            "Scale it, or set on_limit to fit."
        )
    size = fitted_size(width, height, min_side=bounds.min_side, max_side=bounds.max_side, max_aspect=bounds.max_aspect)
    attempt.scale(size)
    attempt.notes.append(f"{attempt.name}: scaled from {width}×{height} to {size[0]}×{size[1]} px.")


def _encode(attempt: _Attempt, format: str, on_limit: str) -> tuple[str, bytes]:
    """The ending and the bytes of the best file of that format that fits."""
    encode = {"auto": _auto, "png": _png, "jpeg": _jpeg, "webp": _webp}[format]
    strict = on_limit == "error"
    before = attempt.size
    while (found := encode(attempt, strict)) is None:
        if strict:
            raise MediaError(
                f"{attempt.name} takes {megabytes(attempt.smallest)} as {format} at {before[0]}×{before[1]} px; the "
                f"limit is {megabytes(attempt.bounds.max_bytes)}. Choose format auto, scale it, or set on_limit to fit."
            )
        _shrink(attempt, format)
    if attempt.size != before:
        attempt.notes.append(
            f"{attempt.name}: scaled from {before[0]}×{before[1]} to {attempt.size[0]}×{attempt.size[1]} px to stay "
            f"under {megabytes(attempt.bounds.max_bytes)}."
        )
    return found


def _shrink(attempt: _Attempt, format: str) -> None:
    """The last resort: fewer pixels, by what the smallest file was too large."""
    bounds = attempt.bounds
    if attempt.whole is None:
        attempt.whole = attempt.pixels
    factor = min(0.95, 0.98 * (bounds.max_bytes / attempt.smallest) ** 0.5)
    long, short = max(attempt.size), min(attempt.size)
    longest = max(int(long * factor), -(-bounds.min_side * long // short))
    size = fitted_size(
        attempt.whole.shape[1],
        attempt.whole.shape[0],
        min_side=bounds.min_side,
        max_side=min(longest, bounds.max_side),
        max_aspect=bounds.max_aspect,
    )
    if size == attempt.size:
        raise MediaError(
            f"{attempt.name} takes {megabytes(attempt.smallest)} as {format} even at "
            f"{attempt.size[0]}×{attempt.size[1]} px; the limit is {megabytes(bounds.max_bytes)}. Choose format auto."
        )
    attempt.pixels = attempt.whole
    attempt.scale(size)


def _png(attempt: _Attempt, strict: bool) -> tuple[str, bytes] | None:
    attempt.check_cancelled()
    limit = attempt.bounds.max_bytes
    data = png(attempt.pixels)
    if limit < len(data) <= limit * _PNG_RETRY:
        attempt.check_cancelled()
        data = png_smaller(attempt.pixels)
    attempt.smallest = len(data)
    return ("png", data) if len(data) <= limit else None


def _jpeg(attempt: _Attempt, strict: bool) -> tuple[str, bytes] | None:
    return _lossy(attempt, "jpg", jpeg, JPEG_QUALITIES[:1] if strict else JPEG_QUALITIES)


def _webp(attempt: _Attempt, strict: bool) -> tuple[str, bytes] | None:
    if max(attempt.size) > WEBP_MAX_SIDE:
        raise MediaError(
            f"{attempt.name} is {attempt.size[0]}×{attempt.size[1]} px; a WebP file holds {WEBP_MAX_SIDE} px at most. "
            "Choose format auto, png or jpeg."
        )
    return _lossy(attempt, "webp", webp, WEBP_QUALITIES[:1] if strict else WEBP_QUALITIES)


def _lossy(attempt: _Attempt, extension: str, encode: _Encoder, qualities: tuple[int, ...]) -> tuple[str, bytes] | None:
    found = _best(attempt, encode, qualities)
    if found is None:
        return None
    if found[0] < qualities[0]:
        limit = megabytes(attempt.bounds.max_bytes)
        attempt.notes.append(f"{attempt.name}: quality {found[0]}, to stay under {limit}.")
    return extension, found[1]


def _auto(attempt: _Attempt, strict: bool) -> tuple[str, bytes] | None:
    found = _png(attempt, strict)
    if found is not None:
        return found
    best = _best(attempt, jpeg, JPEG_QUALITIES)
    extension, label = "jpg", "JPEG"
    if (best is None or best[0] < _POOR_JPEG) and _webp_is_possible(attempt):
        other = _best(attempt, webp, WEBP_QUALITIES)
        if other is not None and (best is None or _error(attempt, other[1]) < _error(attempt, best[1])):
            best, extension, label = other, "webp", "WebP"
    if best is None:
        return None
    attempt.notes.append(
        f"{attempt.name}: sent as {label} of quality {best[0]}; a PNG would be over "
        f"{megabytes(attempt.bounds.max_bytes)}."
    )
    return extension, best[1]


def _best(attempt: _Attempt, encode: _Encoder, qualities: tuple[int, ...]) -> tuple[int, bytes] | None:
    """The highest of the qualities (best first) whose file fits, found by halving: a lower one is never larger."""
    found = None
    first, last = 0, len(qualities)
    middle = 0  # the best one first: it mostly fits
    while first < last:
        attempt.check_cancelled()
        data = encode(attempt.pixels, qualities[middle])
        if data is not None and len(data) <= attempt.bounds.max_bytes:
            found, last = (qualities[middle], data), middle
        else:
            attempt.smallest = len(data) if data is not None else 2 * attempt.bounds.max_bytes
            first = middle + 1
        middle = (first + last) // 2
    return found


def _webp_is_possible(attempt: _Attempt) -> bool:
    width, height = attempt.size
    return max(width, height) <= WEBP_MAX_SIDE and width * height <= _WEBP_PIXELS


def _error(attempt: _Attempt, data: bytes) -> float:
    """Mean squared difference between the picture and a file of it, on every 4th row."""
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(data)) as opened:
        decoded = np.asarray(opened.convert("RGB"))
    difference = decoded[::4].astype(np.int16) - attempt.pixels[::4]
    return float(np.mean(np.square(difference, dtype=np.int32)))
