"""Colours and audio compared with the ffmpeg program (of imageio-ffmpeg, or on the PATH)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np

from nodes.media.decode.decode import decode
from tests.media_files import Clip, moving_gradient, write

from .settings import Settings, table

LARGEST, MEAN = 2, 0.5
"""The decoder and ffmpeg share FFmpeg's scaler, so the difference is 0 if their versions agree; another version may
round differently by a step or two. Colours read by the wrong matrix or range are 10 to 30 off."""
LARGEST_10_BIT = 3
"""From 10 bits to 8, FFmpeg 8 (in PyAV) and FFmpeg 9 (the program) differed by this much."""

_MATRICES = {"bt709": 1, "bt601": 5, "untagged": 2}
_RANGES = {"limited": 1, "full": 2, "untagged": 0}
_CODECS = {
    "H.264": ("libx264", "yuv420p", {"crf": "10"}),
    "H.264 10 bit": ("libx264", "yuv420p10le", {"crf": "10"}),
    "HEVC": ("libx265", "yuv420p", {"crf": "10", "x265-params": "log-level=none"}),
    "HEVC 10 bit": ("libx265", "yuv420p10le", {"crf": "10", "x265-params": "log-level=none"}),
    "VP9": ("libvpx-vp9", "yuv420p", {"crf": "10", "b": "0"}),
    "AV1": ("libsvtav1", "yuv420p", {"crf": "15"}),
    "AV1 10 bit": ("libsvtav1", "yuv420p10le", {"crf": "15"}),
}


def run(settings: Settings) -> None:
    """Print both tables, or that ffmpeg is missing."""
    program = _ffmpeg()
    if program is None:
        print("\nColours and audio: ffmpeg is not installed (pip install imageio-ffmpeg).")
        return
    _colours(program, settings)
    _audio(program, settings)


def _ffmpeg() -> str | None:
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return shutil.which("ffmpeg")


def _read(program: str, path: Path, *arguments: str) -> bytes:
    command = [program, "-v", "error", "-i", str(path), *arguments, "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def _colours(program: str, settings: Settings) -> None:
    rows, met = [], True
    for codec, (encoder, pixels, options) in list(_CODECS.items())[: 1 if settings.quick else None]:
        for matrix, space in _MATRICES.items():
            for extent, code in _RANGES.items():
                colours = {"colorspace": space, "color_range": code}
                clip = Clip(encoder, pixels, (96, 64), 3, colours=colours, options=options, audio=None)
                path = write(settings.folder / "colours.mp4", clip)
                ours = (decode(path).images.numpy() * 255).round()  # type: ignore[union-attr]
                theirs = np.frombuffer(_read(program, path, "-f", "rawvideo", "-pix_fmt", "rgb24"), np.uint8)
                difference = np.abs(ours - theirs.reshape(ours.shape))
                source = np.stack([moving_gradient(clip, index) for index in range(3)])
                most = LARGEST_10_BIT if pixels.endswith("10le") else LARGEST
                met &= bool(difference.max() <= most and difference.mean() <= MEAN)
                figures = [f"{difference.max():.0f}", f"{difference.mean():.3f}", f"{np.abs(ours - source).mean():.1f}"]
                rows.append([f"{codec}, {matrix}, {extent}", *figures])
    head = ["file", "largest", "mean", "mean against the source"]
    table("Colours against ffmpeg's rgb24, in 1/255", head, rows)
    print(f"    {'met ' if met else 'MISSED'} largest ≤ {LARGEST} ({LARGEST_10_BIT} at 10 bits), mean ≤ {MEAN:g}")


def _audio(program: str, settings: Settings) -> None:
    rows, met = [], True
    for rate in (44100, 48000):
        for layout, channels in (("mono", 1), ("stereo", 2), ("5.1", 6)):
            path = write(settings.folder / "audio.mp4", Clip(layout=layout, rate=rate))
            ours = decode(path).audio["waveform"].numpy()[0]  # type: ignore[index]
            raw = np.frombuffer(_read(program, path, "-vn", "-f", "f32le"), np.float32)
            theirs = raw.reshape(-1, channels).T
            stop = min(ours.shape[1], theirs.shape[1])
            shift = _shift(ours[0], theirs[0])
            difference = float(np.abs(ours[:, :stop] - theirs[:, :stop]).max())
            met &= shift == 0 and ours.shape[1] == rate * 2 and difference < 1e-3
            counts = [str(ours.shape[1]), str(theirs.shape[1]), str(_length(path, rate))]
            rows.append([f"AAC {rate} Hz {layout}", *counts, str(shift), f"{difference:.1e}"])
    head = ["file", "ours", "ffmpeg", "stream says", "first sample off by", "largest difference"]
    table("Audio compared with ffmpeg, 2 s: samples", head, rows)
    print(f"    {'met ' if met else 'MISSED'} begins with ffmpeg's first sample and is as long as the stream says")


def _shift(ours: Any, theirs: Any) -> int:
    span = range(-50, 51)
    fits = [float(np.abs(ours[5000:20000] - theirs[5000 + shift : 20000 + shift]).mean()) for shift in span]
    return span[int(np.argmin(fits))]


def _length(path: Path, rate: int) -> int:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return round(float(stream.duration * stream.time_base) * rate)  # type: ignore[operator]
