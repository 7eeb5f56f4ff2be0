"""The same window on a video that is tensors already: slices of them, nothing is encoded or decoded."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .decode_audio import silence
from .decode_frames import limited_size
from .decode_options import Decoded, DecodeOptions
from .decode_window import TOLERANCE, samples_in
from .file import MediaError

if TYPE_CHECKING:
    from torch import Tensor


def decode_tensors(images: Tensor, audio: dict[str, Any] | None, rate: Fraction, options: DecodeOptions) -> Decoded:
    """What `decode` gives for a file, of images float32 [N,H,W,C] in 0..1 played at `rate`, and an AUDIO or None.

    Frames that are given out as they are share the memory of `images`. Raises MediaError for an empty window.
    """
    options.check()
    rate = Fraction(rate)
    if images is None or images.ndim != 4 or 0 in images.shape or rate <= 0:
        raise MediaError("The video holds no frames. Look at the node that made it.")
    start = Fraction(options.start_time).limit_denominator(1_000_000)
    end = start + Fraction(options.duration).limit_denominator(1_000_000) if options.duration else None
    first = max(0, math.ceil((start - TOLERANCE) * rate))
    stop = len(images) if end is None else min(len(images), math.ceil((end - TOLERANCE) * rate))
    if first >= stop:
        raise MediaError(
            f"The video has no frame between start_time {options.start_time:g} s and the end of duration: it is "
            f"{float(len(images) / rate):.3f} s long. Use a smaller start_time, or 0, and a longer duration, or 0."
        )
    chosen = images[first : stop : options.every_nth, :, :, :3]
    if options.max_frames and len(chosen) >= options.max_frames:
        chosen = chosen[: options.max_frames]
        end = Fraction(first + (options.max_frames - 1) * options.every_nth + options.every_nth) / rate
    fps = rate / options.every_nth
    return Decoded(
        images=_sized(chosen, options.max_side) if options.want_images else None,
        audio=_cut(audio, start, end, len(chosen) / fps) if options.want_audio else None,
        fps=fps,
        frame_count=len(chosen),
        last_frame=_sized(chosen[-1:], options.max_side) if options.want_last_frame else None,
        silent=audio is None,
    )


def _sized(images: Tensor, max_side: int) -> Tensor:
    import torch

    height, width = int(images.shape[1]), int(images.shape[2])
    new_width, new_height = limited_size(width, height, max_side)
    if (new_width, new_height) == (width, height):
        return images.contiguous()
    out = torch.empty((len(images), new_height, new_width, images.shape[3]), dtype=images.dtype)
    for index, image in enumerate(images):  # one at a time: no second batch in memory
        scaled = torch.nn.functional.interpolate(
            image.movedim(-1, 0)[None], size=(new_height, new_width), mode="bicubic", antialias=True
        )
        out[index] = scaled[0].movedim(0, -1).clamp(0, 1)
    return out


def _cut(audio: dict[str, Any] | None, start: Fraction, end: Fraction | None, seconds: Fraction) -> dict[str, Any]:
    import torch

    if audio is not None:
        waveform, rate = audio["waveform"], int(audio["sample_rate"])
        part = waveform[..., samples_in(start, rate) : None if end is None else samples_in(end, rate)]
        if part.shape[-1]:
            return {"waveform": part.contiguous(), "sample_rate": rate}
        return {"waveform": torch.from_numpy(silence(seconds, rate, waveform.shape[1]))[None], "sample_rate": rate}
    empty = silence(seconds)
    return {"waveform": torch.from_numpy(empty)[None], "sample_rate": 44100}
