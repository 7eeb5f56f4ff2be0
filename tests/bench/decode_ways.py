"""Ways to get a video's frames. Each returns {"bytes": size of the tensors, "digest": digest of the frames}."""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from nodes.media.decode.decode import DecodeOptions, decode
from nodes.media.files import MediaCancelled
from nodes.media.video.video_input import threads_for


def warm() -> None:
    """Make the imports that a first call would make."""
    torch.zeros(1).add_(1)


warm()


def limit(path: str) -> dict[str, Any]:
    """Decode only, with the pack's number of threads: no conversion, and nothing is kept."""
    with av.open(path) as container:
        video = container.streams.video[0]
        video.thread_type, video.codec_context.thread_count = threads_for(video.width * video.height)
        return {"frames": sum(1 for _ in container.decode(video))}


def write(shape: list[int]) -> dict[str, Any]:
    """Only write a tensor of that shape."""
    out = np.empty(shape, np.float32)
    out.fill(0.5)
    return {"bytes": out.nbytes}


def ours(path: str, digest: bool = False, **options: Any) -> dict[str, Any]:
    """Run the pack's decoder."""
    found = decode(path, DecodeOptions(want_last_frame=options.pop("want_last_frame", False), **options))
    given = _given(found.images, found.audio, digest)
    given["bytes"] += 0 if found.last_frame is None else found.last_frame.nbytes
    return given


def interrupt(path: str) -> dict[str, Any]:
    """Return how long decoding continues after it was cancelled in the middle."""
    pressed: list[float] = []

    def progress(done: int, total: int) -> None:
        if done >= total // 2 and not pressed:
            pressed.append(time.perf_counter())

    try:
        decode(path, DecodeOptions(max_frames=60), cancelled=lambda: bool(pressed), on_progress=progress)
    except MediaCancelled:
        return {"seconds": time.perf_counter() - pressed[0]}
    raise RuntimeError("decoding was not cancelled")


def core(path: str, tree: str, digest: bool = False) -> dict[str, Any]:
    """Run ComfyUI core's VideoFromFile.get_components."""
    found = _core_video(tree)(path).get_components()
    return _given(found.images, found.audio, digest)


def _core_video(tree: str) -> Any:
    from comfy_api.latest._input_impl.video_types import VideoFromFile

    return VideoFromFile


def generator(path: str) -> dict[str, Any]:
    """Decode as VideoHelperSuite describes it: OpenCV, one float frame at a time, collected by np.fromiter."""
    capture = cv2.VideoCapture(path)
    size = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))

    def frames() -> Any:
        while capture.grab():
            _, frame = capture.retrieve()
            pixels = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.float32)
            torch.from_numpy(pixels).div_(255)
            yield pixels

    images = torch.from_numpy(np.fromiter(frames(), np.dtype((np.float32, (*size, 3)))))
    capture.release()
    return _given(images, None, digest=False)


def torchcodec(path: str) -> dict[str, Any]:
    """Decode with torchcodec into a preallocated tensor."""
    decoder = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=0)
    metadata = decoder.metadata
    out = np.empty((metadata.num_frames, metadata.height, metadata.width, 3), np.float32)
    for index, frame in enumerate(decoder):
        np.divide(frame.numpy(), np.float32(255), out=out[index], dtype=np.float32)
    return _given(torch.from_numpy(out), None, digest=False)


def _given(images: Any, audio: Any, digest: bool) -> dict[str, Any]:
    count = 0 if images is None else images.nbytes
    if audio is not None:
        count += audio["waveform"].nbytes
    if not digest:
        return {"bytes": count}
    data = memoryview(images.contiguous().numpy()).cast("B")
    return {"bytes": count, "digest": zlib.crc32(data), "frames": len(images)}


# Imported before the clock starts, if they are requested and installed.
_asked = json.loads(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].startswith("{") else {}
if _asked.get("function", "").endswith(":generator"):
    import cv2
if _asked.get("function", "").endswith(":torchcodec"):
    try:
        from torchcodec.decoders import VideoDecoder

        # The first decoder loads the system's FFmpeg, which the package does not contain.
        VideoDecoder(_asked["arguments"]["path"])
    except ModuleNotFoundError:
        sys.exit("not installed (pip install torchcodec)")
    except (ImportError, OSError, RuntimeError):
        sys.exit("found no FFmpeg libraries (apt install ffmpeg)")
if tree := _asked.get("arguments", {}).get("tree"):
    sys.path.insert(0, str(Path(tree)))
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    _core_video(tree)
