"""What is in a media file, read in the plainest way, for the tests to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from PIL import Image

from nodes.media.files import MediaFile
from nodes.sandbox.inspect import inspect_media


def same_frames(one: np.ndarray, other: np.ndarray, mean: float = 0.05, most: float = 4) -> bool:
    """Return whether images of 0..1 are the same: on the average within `mean` steps of 8 bits, nowhere `most` apart.

    Scalers calculate in integers, and cut off what interpolation makes of hard edges.
    """
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape:
        return False
    difference = np.abs(one - other) * 255
    return bool(difference.mean() <= mean and difference.max() < most)


_MATRICES = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}
_BT601 = 0.299, 0.114


def reference(path: Path, siting: tuple[float, float] = (0, 0.5)) -> np.ndarray:
    """Return all frames, float64 [N,H,W,3] in 0..1, calculated from the decoder's YUV without FFmpeg's scaler.

    Args:
        siting: where chroma is sampled, in pixels of luma right of and below the first of each group.
    """
    with av.open(str(path)) as container:
        return np.stack([exact_rgb(frame, siting) for frame in container.decode(video=0)])


def exact_rgb(frame: av.VideoFrame, siting: tuple[float, float] = (0, 0.5)) -> np.ndarray:
    """Return one frame as `reference` does."""
    if frame.format.is_rgb:
        return frame.to_ndarray(format="rgb24") / 255
    bits = frame.format.components[0].bits
    kind = np.uint8 if bits == 8 else np.uint16
    y, u, v = (_plane(plane, kind).astype(np.float64) for plane in frame.planes)
    step = 1 << (bits - 8)
    full = int(frame.color_range) == 2 or frame.format.name.startswith("yuvj")
    black, white, colorful = (0, 256 * step - 1, 256 * step - 1) if full else (16 * step, 219 * step, 224 * step)
    size = y.shape
    u, v = (_enlarged(_enlarged(c, size[0], siting[1], 0), size[1], siting[0], 1) for c in (u, v))
    y, u, v = (y - black) / white, (u - 128 * step) / colorful, (v - 128 * step) / colorful
    red, blue = _MATRICES.get(int(frame.colorspace), _BT601)
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    return np.stack([r, (y - red * r - blue * b) / (1 - red - blue), b], -1).clip(0, 1)


def _plane(plane: av.video.plane.VideoPlane, kind: type) -> np.ndarray:
    return np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : plane.width]


def _enlarged(values: np.ndarray, size: int, offset: float, axis: int) -> np.ndarray:
    """Interpolate chroma along an axis to `size` values, with the bicubic kernel that FFmpeg has by default."""
    count = values.shape[axis]
    if count == size:
        return values
    at = (np.arange(size) - offset) / 2
    weights = np.zeros((size, count))
    for tap in range(-2, 4):
        index = np.floor(at).astype(int) + tap
        np.add.at(weights, (np.arange(size), index.clip(0, count - 1)), _cubic(np.abs(at - index)))
    return np.moveaxis(np.tensordot(weights / weights.sum(1, keepdims=True), values, (1, axis)), 0, axis)


def _cubic(distance: np.ndarray, c: float = 0.6) -> np.ndarray:
    near = (2 - c) * distance**3 - (3 - c) * distance**2 + 1
    far = -c * distance**3 + 5 * c * distance**2 - 8 * c * distance + 4 * c
    return np.where(distance < 1, near, np.where(distance < 2, far, 0))


def sides(file: MediaFile) -> tuple[int | None, int | None]:
    """Return width and height of an image or a clip as the sandbox reads them."""
    facts = inspect_media(file.path, "image_url" if file.kind == "image" else "first_clip_url")
    return facts.width, facts.height


def times_of(path: Path) -> list[float]:
    """Return the seconds at which the frames are shown."""
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def shown_at(path: Path, fps: Fraction, count: int) -> list[int]:
    """Return which frame is seen at each of `count` moments of a constant rate: each from its own time, rounded, on."""
    with av.open(str(path)) as container:
        times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    firsts = [int((time - times[0]) * fps + Fraction(1, 2)) for time in times]
    return [max(index for index, first in enumerate(firsts) if first <= moment) for moment in range(count)]


def reference_audio(path: Path) -> np.ndarray:
    """Return all samples of the first audio stream as the decoder gives them, [C,T] for planar formats."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def frames_of(path: Path | BytesIO) -> list[np.ndarray]:
    """Return all frames of a BT.709 video as uint8 [H, W, 3]."""
    # PyAV 14 takes the colours for BT.601 unless the destination is declared to be something else than the source
    source = {"src_colorspace": "ITU709", "src_color_range": "MPEG", "dst_colorspace": "ITU601"}
    with av.open(path if isinstance(path, BytesIO) else str(path)) as container:
        return [frame.reformat(format="rgb24", **source).to_ndarray() for frame in container.decode(video=0)]


def audio_of(path: Path) -> tuple[np.ndarray, int]:
    """Return the audio of a file as float [channels, samples], and its rate."""
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
    return reference_audio(path), rate


@dataclass
class Reread:
    """What av says of a file, every frame decoded."""

    seconds: float
    video_seconds: float
    audio_seconds: float | None
    size: tuple[int, int]
    fps: Fraction
    greys: list[float]
    codec: str
    pix_fmt: str
    colour: tuple[int, int, int, int]
    first: np.ndarray
    gaps: set[Fraction]
    channels: int
    audio_rate: int


def reread(path: Path) -> Reread:
    """Decode the whole file."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        audio = container.streams.audio[0] if container.streams.audio else None
        greys, times, first, last = [], [], None, None
        for frame in container.decode(video):
            image = frame.to_ndarray(format="rgb24")
            first = image if first is None else first
            greys.append(float(image.mean()))
            times.append(Fraction(frame.pts) * frame.time_base)
            last = frame
        assert first is not None and last is not None
        return Reread(
            seconds=container.duration / 1e6,
            video_seconds=float(video.duration * video.time_base),
            audio_seconds=float(audio.duration * audio.time_base) if audio else None,
            size=(video.width, video.height),
            fps=Fraction(video.average_rate),
            greys=greys,
            codec=video.codec_context.name,
            pix_fmt=last.format.name,
            colour=(
                video.codec_context.colorspace,
                video.codec_context.color_primaries,
                video.codec_context.color_trc,
                video.codec_context.color_range,
            ),
            first=first,
            gaps={b - a for a, b in pairwise(times)},
            channels=audio.codec_context.channels if audio else 0,
            audio_rate=audio.codec_context.sample_rate if audio else 0,
        )


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Return the likeness of two images in dB: of bytes, or of floats 0..1. Infinite for the same image."""
    peak = 255 if one.dtype == np.uint8 else 1
    error = float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(peak**2 / error))


def scaled(image: Image.Image, frame: np.ndarray) -> np.ndarray:
    """Return an image at the size of a frame [H, W, 3] and with its kind of values, to be compared with it."""
    size = (frame.shape[1], frame.shape[0])
    pixels = np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    return pixels if frame.dtype == np.uint8 else pixels.astype(np.float32) / np.float32(255)
