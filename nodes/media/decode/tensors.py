"""The same window on a video that is tensors already: slices of them. Nothing is encoded or decoded."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..audio.waveform import parts, to_float
from ..files import MediaCancelled, MediaError
from ..video.timeline import TOLERANCE, samples_in
from .audio_track import SILENCE_CHANNELS, SILENCE_RATE, silence
from .frames import limited_size
from .memory import check_audio, check_memory, frame_bytes
from .options import Decoded, DecodeOptions

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
    cancelled: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Decoded:
    """Return what `decode` returns for a file. cancelled and on_progress are as for `decode`.

    Args:
        images: [N,H,W,C], floating point in 0..1 or integers up to the largest of their type. One channel is grey, a
            fourth is left out. Frames that are float32 RGB on the CPU, contiguous and not scaled, share this memory.
        audio: an AUDIO or None.
        rate: frames per second.

    Raises:
        MediaError: an empty window, or something that is not an IMAGE or AUDIO.
        MemoryRefusedError: the copies do not fit into free memory.
        MediaCancelled: interrupted.
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
    chosen = images[first : stop : options.every_nth]
    if options.max_frames and len(chosen) >= options.max_frames:
        chosen = chosen[: options.max_frames]
        end = Fraction(first + options.max_frames * options.every_nth) / rate
    fps = rate / options.every_nth
    copy = _Copy(options.max_side, cancelled, on_progress)
    copy.check_memory(chosen, options)
    cut_audio = _cut(audio, start, end, len(chosen) / fps) if options.want_audio else None
    found = copy.of(chosen) if options.want_images else None
    last = None
    if options.want_last_frame:
        last = copy.of(chosen[-1:]) if found is None else found[-1:].clone()
    return Decoded(
        images=found,
        audio=cut_audio,
        fps=fps,
        frame_count=len(chosen),
        last_frame=last,
        silent=audio is None,
    )


class _Copy:
    """Converts frames of any kind to float32 [N,H,W,3] on the CPU, scaled, without a second batch in memory."""

    def __init__(
        self, max_side: int, cancelled: Callable[[], bool] | None, on_progress: Callable[[int, int], None] | None
    ) -> None:
        self._max_side, self._cancelled, self._on_progress = max_side, cancelled, on_progress

    def check_memory(self, images: Tensor, options: DecodeOptions) -> None:
        """Raise MemoryRefusedError if the copies that will be made do not fit. What is shared costs nothing."""
        frames = len(images) if options.want_images and not self._shares(images) else 0
        # The last of the images is a copy of its own, so that it does not keep all of them in memory.
        last = options.want_last_frame and (options.want_images or not self._shares(images[-1:]))
        if not frames and not last:
            return
        height, width = (int(size) for size in images.shape[1:3])
        new_width, new_height = limited_size(width, height, self._max_side)
        check_memory(
            name=_NAME,
            frames=frames,
            last_frame=last,
            width=new_width,
            height=new_height,
            audio_bytes=0,
            limit=None,
            working=_WORKING_FRAMES * frame_bytes(width, height),
        )

    def of(self, images: Tensor) -> Tensor:
        """Return the frames. If they are in the right form, they are not copied."""
        import torch

        if self._shares(images):
            return images[..., :3]
        count, height, width = (int(size) for size in images.shape[:3])
        new_width, new_height = limited_size(width, height, self._max_side)
        same = (new_width, new_height) == (width, height)
        out = torch.empty((count, new_height, new_width, 3), dtype=torch.float32)
        for index in range(count):
            if self._cancelled is not None and self._cancelled():
                raise MediaCancelled("Decoding was interrupted.")
            image = _rgb(images[index])
            if not same:
                scaled = torch.nn.functional.interpolate(
                    image.movedim(-1, 0)[None], size=(new_height, new_width), mode="bicubic", antialias=True
                )
                image = scaled[0].movedim(0, -1).clamp(0, 1)
            out[index] = image
            if self._on_progress is not None:
                self._on_progress(index + 1, count)
        return out

    def _shares(self, images: Tensor) -> bool:
        """Return whether the frames are in the right form."""
        import torch

        height, width, channels = (int(size) for size in images.shape[1:])
        if channels < 3 or images.dtype != torch.float32 or images.device.type != "cpu":
            return False
        return limited_size(width, height, self._max_side) == (width, height) and images[..., :3].is_contiguous()


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
        return {"waveform": torch.from_numpy(silence(seconds))[None], "sample_rate": SILENCE_RATE}
    waveform, rate = parts(audio)
    part = waveform[..., samples_in(start, rate) : None if end is None else samples_in(end, rate)]
    if not part.is_contiguous() or part.dtype != torch.float32 or part.device.type != "cpu":
        check_audio(name=_NAME, count=part.numel() * 4, other_bytes=0, limit=None)
    if 0 in part.shape:
        empty = silence(seconds, rate, int(waveform.shape[1]) or SILENCE_CHANNELS)
        return {"waveform": torch.from_numpy(empty)[None], "sample_rate": rate}
    if part.dtype != torch.float32 or part.device.type != "cpu":
        part = torch.stack([torch.from_numpy(to_float(item, name="The audio")) for item in part])
    return {"waveform": part.contiguous(), "sample_rate": rate}
