"""The clips that are measured with: H.264 and AAC, 30 fps, much detail, like what the service returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np

FPS = 30
RATE = 48000


def detailed(path: Path, width: int, height: int, seconds: float, bit_rate: int, gop: int = 250) -> Path:
    """Write an mp4 of moving blocks under noise, with a tone."""
    frames = round(seconds * FPS)
    random = np.random.default_rng(0)
    blocks = random.integers(0, 96, (height // 8 + 1, width // 8 + 1, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    noise = random.integers(0, 12, (height * 2, width * 2, 3), np.uint8)
    y, x = np.mgrid[0:height, 0:width]
    ramp = np.stack([x * 140 // width, y * 140 // height, (x + y) * 140 // (width + height)], -1).astype(np.uint8)
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
        video.width, video.height, video.pix_fmt, video.bit_rate = width, height, "yuv420p", bit_rate
        video.gop_size, video.codec_context.thread_count = gop, 0
        audio: Any = container.add_stream("aac", rate=RATE, layout="stereo")
        for index in range(frames):
            moved = np.roll(blocks, (index * 2, index * 3), (0, 1))[:height, :width]
            down, across = random.integers(0, height), random.integers(0, width)
            grain = noise[down : down + height, across : across + width]
            container.mux(video.encode(av.VideoFrame.from_ndarray(ramp + moved + grain, format="rgb24")))
        time = np.arange(round(seconds * RATE)) / RATE
        tone = np.stack([np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 660 * time)]).astype(np.float32) / 2
        sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="stereo")
        sound.sample_rate, sound.pts = RATE, 0
        container.mux(audio.encode(sound))
        container.mux(audio.encode())
        container.mux(video.encode())
    return path
