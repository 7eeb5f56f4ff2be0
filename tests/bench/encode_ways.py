"""Ways to encode an image or frames. Each returns {"input": bytes of the tensor, "size": bytes of the file}.

Their inputs are created while the module is imported, before the clock starts.
"""

from __future__ import annotations

import io
import json
import math
import os
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import av
import av.filter
import numpy as np
import torch
from PIL import Image

from nodes.core import limits
from nodes.media.clip.encode import encode_clip
from nodes.media.decode.decode import DecodeOptions, decode
from nodes.media.image.encode import encode_image
from nodes.media.image.formats import png

Image.init()


def detailed_image(width: int, height: int) -> torch.Tensor:
    """Return an image [H, W, 3] of waves, blocks and a little noise."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = np.stack([np.sin(x / 37 + y / 91), np.cos(x / 53 - y / 29), np.sin((x + y) / 71)], -1) * 0.3 + 0.5
    blocks = random.random((height // 16 + 1, width // 16 + 1, 3), np.float32).repeat(16, 0).repeat(16, 1)
    noise = random.integers(0, 6, (height, width, 3)).astype(np.float32) / 255
    return torch.from_numpy(np.clip(waves + blocks[:height, :width] * 0.2 + noise, 0, 1).astype(np.float32))


def core_png(**_: Any) -> dict[str, Any]:
    """Encode as ComfyUI core does: its expression, and Pillow with default settings."""
    pixels = np.clip(255.0 * INPUT.cpu().numpy(), 0, 255).astype(np.uint8)
    return _pillow(pixels)


def pillow_png(**_: Any) -> dict[str, Any]:
    """Encode 8-bit pixels with Pillow's default settings."""
    return _pillow(PIXELS)


def our_png(**_: Any) -> dict[str, Any]:
    """Encode 8-bit pixels with the pack's PNG."""
    return {"input": INPUT.nbytes, "size": len(png(PIXELS))}


def our_image(format: str, max_bytes: int, **_: Any) -> dict[str, Any]:
    """Run the pack's whole path from float to file, with limits, checks and hash."""
    with TemporaryDirectory() as folder:
        bounds = replace(limits.IMAGE, max_bytes=max_bytes)
        file = encode_image(INPUT, bounds, directory=Path(folder), format=format)  # type: ignore[arg-type]
        return {"input": INPUT.nbytes, "size": file.size, "extension": file.extension}


def _pillow(pixels: Any) -> dict[str, Any]:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return {"input": INPUT.nbytes, "size": stream.tell()}


class VideoFromComponents:
    """Stands in for ComfyUI's VIDEO of tensors."""

    def get_components(self) -> Any:
        return CLIP


def our_clip(target: str, **_: Any) -> dict[str, Any]:
    """Run the pack's encoder on frames in memory."""
    with TemporaryDirectory() as folder:
        file = encode_clip(VideoFromComponents(), replace(limits.CLIP, min_side=16), directory=Path(folder))
        Path(target).write_bytes(file.path.read_bytes())
    return {"input": CLIP.images.nbytes, "size": file.size}


def core_clip(target: str, **_: Any) -> dict[str, Any]:
    """Run ComfyUI core's VideoFromComponents.save_to."""
    core_video()(CLIP).save_to(target)
    return {"input": CLIP.images.nbytes, "size": Path(target).stat().st_size}


class FileVideo:
    """Stands in for ComfyUI's VIDEO of a file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def get_stream_source(self) -> str:
        return self._path


def our_file(path: str, **_: Any) -> dict[str, Any]:
    """Run the pack's encoder on a file, without a length limit."""
    bounds = replace(limits.CLIP, min_side=16, max_seconds=600.0, max_bytes=10**9)
    with TemporaryDirectory() as folder:
        file = encode_clip(FileVideo(path), bounds, directory=Path(folder))
        assert file.path.parent == Path(folder)
        return {"input": 0, "size": file.size}


def psnr(path: str, other: str) -> dict[str, Any]:
    """Return the PSNR in dB between the frames of two files, decoded to RGB."""
    total, count = 0.0, 0
    with av.open(path) as one, av.open(other) as two:
        for a, b in zip(one.decode(video=0), two.decode(video=0), strict=True):
            difference = a.to_ndarray(format="rgb24").astype(np.int16) - b.to_ndarray(format="rgb24")
            total += float(np.square(difference, dtype=np.int32).sum(dtype=np.int64))
            count += difference.size
    return {"psnr": 10 * math.log10(255**2 * count / total)}


def core_video() -> Any:
    """Return core's class; its folder is already in sys.path."""
    from comfy_api.latest._input_impl.video_types import VideoFromComponents as Core

    return Core


_asked = json.loads(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].startswith("{") else {}
_arguments = _asked.get("arguments", {})
if size := _arguments.get("image"):
    INPUT = detailed_image(*size)
    PIXELS = np.floor(INPUT.numpy() * 255 + 0.5).astype(np.uint8)
if source := _arguments.get("frames_of"):
    _found = decode(source, DecodeOptions(want_last_frame=False))
    CLIP = SimpleNamespace(images=_found.images, audio=_found.audio, frame_rate=Fraction(30))
if tree := _arguments.get("tree"):
    sys.path.insert(0, str(Path(tree)))
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    core_video()
