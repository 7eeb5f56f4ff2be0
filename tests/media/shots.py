"""Shots for the tests of joined films, and how to look at a film."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from nodes.media.join.film import Film, JoinOptions
from nodes.media.join.join import join_videos
from tests.media.comfyui_inputs import FileVideo
from tests.media_files import Clip, Pixels, write

FPS = 30
SIZE = (160, 96)


@cache
def _texture() -> np.ndarray:
    noise = torch.tensor(np.random.default_rng(5).integers(40, 200, (3, 96, 480)), dtype=torch.float32)
    return np.asarray(torch.nn.functional.avg_pool2d(noise, 9, 1, 4).permute(1, 2, 0))


def scene(start: int, *, add: int = 0) -> Callable[[Clip, int], Pixels]:
    """Return how to draw a camera that moves two pixels a frame over a texture, from frame `start` on."""

    def draw(clip: Clip, index: int) -> Pixels:
        left = 2 * (start + index)
        width, height = clip.size
        part = _texture()[:height, left : left + width]
        return np.clip(np.ascontiguousarray(part) + add, 0, 255).astype(np.uint8)

    return draw


def shot(path: Path, draw: Callable[[Clip, int], Pixels], **changes: Any) -> FileVideo:
    """Render a shot of a second, in the file."""
    clip = {"size": SIZE, "frames": FPS, "fps": FPS, "draw": draw, "options": {"crf": "12"}, **changes}
    return FileVideo(str(write(path, Clip(**clip))))


def steady(hertz: float, level: float = 0.5) -> Callable[[int, int, float], np.ndarray]:
    """Return a signal: a cosine that begins at its peak, so that a bad cut clicks."""

    def signal(channels: int, rate: int, seconds: float) -> np.ndarray:
        time = np.arange(round(seconds * rate)) / rate
        return np.repeat(level * np.cos(2 * np.pi * hertz * time)[None], channels, 0).astype(np.float32)

    return signal


def ending_early(
    signal: Callable[[int, int, float], np.ndarray], missing: float
) -> Callable[[int, int, float], np.ndarray]:
    """Return a signal that ends so many seconds before the frames do."""
    return lambda channels, rate, seconds: signal(channels, rate, seconds - missing)


def three_shots(folder: Path, **changes: Any) -> list[FileVideo]:
    """Render three shots, alike. Each goes on where the one before ended."""
    return [shot(folder / f"shot_{n}.mp4", scene(n * FPS), signal=steady(300 + 90 * n), **changes) for n in range(3)]


def join(shots: list[Any], folder: Path, **options: Any) -> tuple[Film, Path]:
    """Join shots to film.mp4 in the folder. `options` are those of JoinOptions."""
    path = folder / "film.mp4"
    return join_videos(shots, path, JoinOptions(**options)), path


def file(video: FileVideo) -> Path:
    """Return the file of a shot."""
    return Path(str(video.get_stream_source()))


def packets(path: Path) -> list[bytes]:
    """Return the data of all video packets."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def loudness(path: Path, begin: float, seconds: float = 0.2) -> float:
    """Return the absolute value of the loudest sample in a part of the audio."""
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    return float(np.abs(samples[:, round(begin * rate) : round((begin + seconds) * rate)]).max())
