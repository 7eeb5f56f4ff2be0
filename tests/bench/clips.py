"""The clips that are measured with: H.264 and AAC, 30 fps, much detail, like what the service returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.host.media import picture

FPS = 30
RATE = 48000


def detailed(path: Path, width: int, height: int, seconds: float, bit_rate: int, gop: int = 250) -> Path:
    """Write an mp4 in which a camera moves over a landscape under film grain, with a tone.

    x264's default preset, as a service would use: B-frames, several references, and motion that frame threads can
    follow side by side (a picture that jumps across its edge makes each frame wait for the whole of the one before).
    """
    frames = round(seconds * FPS)
    random = np.random.default_rng(0)
    wide = np.asarray(picture(width + frames * 2, height + frames))
    grain = random.integers(-8, 8, (height * 2, width * 2, 3), np.int16)
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt, video.bit_rate = width, height, "yuv420p", bit_rate
        video.gop_size, video.codec_context.thread_count = gop, 0
        audio: Any = container.add_stream("aac", rate=RATE, layout="stereo")
        for index in range(frames):
            seen = wide[index : index + height, index * 2 : index * 2 + width]
            down, across = random.integers(0, height), random.integers(0, width)
            grained = (seen + grain[down : down + height, across : across + width]).clip(0, 255).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(grained, format="rgb24")))
        time = np.arange(round(seconds * RATE)) / RATE
        tone = np.stack([np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 660 * time)]).astype(np.float32) / 2
        sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="stereo")
        sound.sample_rate, sound.pts = RATE, 0
        container.mux(audio.encode(sound))
        container.mux(audio.encode())
        container.mux(video.encode())
    return path
