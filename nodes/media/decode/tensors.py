"""The same window on a video that is already tensors: slices of them. Nothing is encoded or decoded."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..audio.waveform import parts, to_float
from ..files import Cancelled, MediaError, check_cancelled
from ..video.timeline import TOLERANCE, samples_in
from .audio_track import SILENCE_CHANNELS, SILENCE_RATE, silence
from .frames import limited_size
from .memory import check_memory, frame_bytes
from .options import Decoded, DecodeOptions, OnProgress

if TYPE_CHECKING:
    from torch import Tensor

_NAME = "The video"
_WORKING_FRAMES = 3
"""Frames of the video's own size beside the result: one that is being copied, and two on the way to a scaled one."""


def decode_tensors(
    images: Tensor,
    audio: dict[str, Any] | None,
    rate: Fraction,
    options: DecodeOptions,
    *,
    cancelled: Cancelled | None = None,
    on_progress: OnProgress | None = None,
) -> Decoded:
    """Return what `decode` returns for a file.

    Args:
        images: [N,H,W,C], floating point in 0..1 or integers up to the largest of their type. One channel is grey, a
            fourth is left out. Frames that are float32 RGB on the CPU, contiguous and not scaled, share this memory.

    Raises:
        MediaError: an empty window, or something that is not an IMAGE or AUDIO.
        MemoryRefusedError: the copies do not fit into free memory.
    """
    options.check()
    rate = Fraction(rate)
    if images is None or images.ndim != 4 or 0 in images.shape or rate <= 0:
        raise MediaError("The video holds no frames. Look at the node that made it.")
    indexes, start, end = _window(len(images), rate, options)
    chosen = images[indexes.start : indexes.stop : indexes.step]
    fps = rate / options.every_nth
    shown = chosen if options.want_images else chosen[-1:]
    height, width = (int(n) for n in shown.shape[1:3])
    size = limited_size(width, height, options.max_side)
    shared = size == (width, height) and _is_final(shown)
    frames = len(shown) if options.want_images and not shared else 0
    # The last of the images is a copy of its own, so that it does not keep all of them in memory.
    copies_last = options.want_last_frame and (options.want_images or not shared)
    if frames or copies_last:
        check_memory(
            name=_NAME,
            frames=frames,
            last_frame=copies_last,
            width=size[0],
            height=size[1],
            working=_WORKING_FRAMES * frame_bytes(width, height),
        )
    cut_audio = _cut(audio, start, end, len(chosen) / fps) if options.want_audio else None
    found = None
    if options.want_images or options.want_last_frame:
        found = shown[..., :3] if shared else _convert(shown, size, cancelled, on_progress)
    last = found if options.want_last_frame else None
    if options.want_images and last is not None:
        last = last[-1:].clone()
    return Decoded(
        images=found if options.want_images else None,
        audio=cut_audio,
        fps=fps,
        frame_count=len(chosen),
        last_frame=last,
        silent=audio is None,
    )


def _window(count: int, rate: Fraction, options: DecodeOptions) -> tuple[range, Fraction, Fraction | None]:
    """Return which of `count` frames to return, and start and end of the audio in seconds; no end: all of it."""
    start = Fraction(options.start_time).limit_denominator(1_000_000)
    end = start + Fraction(options.duration).limit_denominator(1_000_000) if options.duration else None
    first = max(0, math.ceil((start - TOLERANCE) * rate))
    stop = count if end is None else min(count, math.ceil((end - TOLERANCE) * rate))
    if first >= stop:
        raise MediaError(
            f"The video has no frame between start_time {options.start_time:g} s and the end of duration: it is "
            f"{float(count / rate):.3f} s long. Use a smaller start_time, or 0, and a longer duration, or 0."
        )
    start, end = first / rate, None if end is None else end + first / rate - start
    chosen = range(first, stop, options.every_nth)
    if options.max_frames and len(chosen) >= options.max_frames:
        chosen = chosen[: options.max_frames]
        end = Fraction(first + options.max_frames * options.every_nth) / rate
    return chosen, start, end


def _is_final(images: Tensor) -> bool:
    """Return whether the frames are float32 RGB on the CPU already, so that they need not be copied."""
    import torch

    right = images.shape[3] >= 3 and images.dtype == torch.float32 and images.device.type == "cpu"
    return right and images[..., :3].is_contiguous()


def _convert(
    images: Tensor, size: tuple[int, int], cancelled: Cancelled | None, on_progress: OnProgress | None
) -> Tensor:
    """Copy frames of any kind to float32 [N,H,W,3] of that width and height, without a second batch in memory."""
    import torch

    width, height = size
    out = torch.empty((len(images), height, width, 3), dtype=torch.float32)
    for index in range(len(images)):
        check_cancelled(cancelled)
        image = _rgb(images[index])
        if image.shape[:2] != (height, width):
            scaled = torch.nn.functional.interpolate(
                image.movedim(-1, 0)[None], size=(height, width), mode="bicubic", antialias=True
            )
            image = scaled[0].movedim(0, -1).clamp(0, 1)
        out[index] = image
        if on_progress is not None:
            on_progress(index + 1, len(images))
    return out


def _rgb(image: Tensor) -> Tensor:
    """Return one image [H,W,C] as float32 with three channels."""
    import torch

    image = (image[..., :3] if image.shape[-1] >= 3 else image[..., :1]).detach().cpu()
    integers = not image.is_floating_point() and image.dtype != torch.bool
    image = image.float() / torch.iinfo(image.dtype).max if integers else image.float()
    return image.expand(*image.shape[:2], 3)


def _cut(audio: dict[str, Any] | None, start: Fraction, end: Fraction | None, seconds: Fraction) -> dict[str, Any]:
    import torch

    if audio is None:
        check_memory(name=_NAME, audio_bytes=int(seconds * SILENCE_RATE) * SILENCE_CHANNELS * 4, working=0)
        return {"waveform": torch.from_numpy(silence(seconds))[None], "sample_rate": SILENCE_RATE}
    waveform, rate = parts(audio)
    part = waveform[..., samples_in(start, rate) : None if end is None else samples_in(end, rate)]
    if not part.is_contiguous() or part.dtype != torch.float32 or part.device.type != "cpu":
        check_memory(name=_NAME, audio_bytes=part.numel() * 4, working=0)
    if 0 in part.shape:
        empty = silence(seconds, rate, int(waveform.shape[1]) or SILENCE_CHANNELS)
        return {"waveform": torch.from_numpy(empty)[None], "sample_rate": rate}
    if part.dtype != torch.float32 or part.device.type != "cpu":
        part = torch.stack([torch.from_numpy(to_float(item, name="The audio")) for item in part])
    return {"waveform": part.contiguous(), "sample_rate": rate}
