"""Pictures, sounds and clips to try the pack with: made by arithmetic, the same on every machine, nobody's property."""

from __future__ import annotations

import io
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Samples = NDArray[np.float32]


def picture(width: int, height: int, *, seed: int = 7) -> Image.Image:
    """An evening by a lake: soft gradients, hard edges, and detail of every size, as a photograph has them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v = x / width, y / height
    horizon = 0.62 + 0.01 * np.sin(9 * u)
    sky = np.stack([0.95 - 0.65 * (1 - v), 0.62 - 0.25 * (1 - v) + 0.1 * u, 0.45 + 0.3 * (1 - v)], axis=-1)
    sun = np.exp(-((u - 0.68) ** 2 + ((v - 0.45) * height / width) ** 2) * 60)[..., None]
    sky = sky + sun * np.array([0.5, 0.35, 0.1], dtype=np.float32)
    sky += 0.16 * (_clouds(width, height, rng) - 0.5)[..., None]
    mirrored = sky[::-1][np.clip((height * (1 - 2 * 0.62) + y).astype(int), 0, height - 1), x.astype(int)]
    ripples = 0.07 * np.sin(240 * v**2 + 3 * np.sin(14 * u)) * (v > horizon)
    water = mirrored * 0.55 + 0.08 + ripples[..., None]
    image = np.where((v > horizon)[..., None], water, sky)
    for number in range(4):  # ranges of hills, the nearer the darker
        line = 0.62 - (0.2 - 0.05 * number) * _ridge(u[0], rng, 2 + number)
        hill = (v > line[None, :]) & (v <= horizon)
        shade = np.array([0.36, 0.3, 0.42], dtype=np.float32) * (1 - 0.2 * number)
        image = np.where(hill[..., None], shade + 0.05 * (_clouds(width, height, rng) - 0.5)[..., None], image)
    pixels = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(max(width, height) / 2000))


def _clouds(width: int, height: int, rng: np.random.Generator) -> Samples:
    """Noise whose detail gets fainter as it gets finer, about 0-1."""
    total = np.zeros((height, width), dtype=np.float32)
    for octave in range(2, 7):
        cells = rng.random((2**octave, 2**octave), dtype=np.float32)
        layer = Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(layer) / 2 ** (octave - 1)
    return total


def _ridge(u: Samples, rng: np.random.Generator, waves: int) -> Samples:
    line: Samples = np.zeros_like(u)
    for wave_number in range(1, 7):
        line += np.sin(2 * np.pi * (waves * wave_number * u + rng.random())) / wave_number**1.2
    line -= line.min()
    line /= max(1e-6, float(line.max()))
    return line


def png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG", compress_level=1)
    return data.getvalue()


def melody(seconds: float, *, rate: int = 48_000) -> Samples:
    """A slow voice-like tune in stereo [2, samples], -1..1: gliding notes with overtones, and pauses between."""
    t = np.arange(int(seconds * rate)) / rate
    notes = np.array([220.0, 246.9, 277.2, 329.6, 277.2, 246.9, 196.0, 220.0])
    beat = 2.5 * t
    step = beat.astype(int)
    pitch = notes[step % len(notes)] * (1 + 0.01 * np.sin(2 * np.pi * 5.5 * t))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voice = sum(np.sin(k * phase) / k**1.4 for k in range(1, 9))
    within = beat - step
    loudness = np.clip(np.minimum(within / 0.08, (0.85 - within) / 0.25), 0, 1)
    left = 0.32 * voice * loudness
    right = np.roll(left, rate // 400)
    return np.stack([left, right]).astype(np.float32)


def wav(samples: Samples, *, rate: int = 48_000) -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples.T, -1, 1) * 32767).astype("<i2").tobytes())
    return data.getvalue()


def clip(path: Path, *, width: int, height: int, seconds: float, fps: int = 24, audio: bool = True) -> Path:
    """An mp4 (H.264, AAC) in which the camera moves over `picture`."""
    wide = np.asarray(picture(width + 64, height))
    frames = round(seconds * fps)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"crf": "14", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = container.add_stream("aac", rate=48_000, layout="stereo") if audio else None
        for number in range(frames):
            left = round(64 * number / max(1, frames - 1))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(wide[:, left : left + width]), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if sound:
            _encode_sound(container, sound, melody(seconds))
    return path


def sound_only(path: Path, *, seconds: float) -> Path:
    """An mp4 that has no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="stereo")
        _encode_sound(container, stream, melody(seconds))
    return path


def _encode_sound(container: av.container.OutputContainer, stream: av.AudioStream, samples: Samples) -> None:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
    frame.rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
    container.mux(stream.encode(frame))
    container.mux(stream.encode())


def psnr(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    """Decibels between two pictures [H, W, 3] of 0..1; infinite for the same."""
    error = float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def scaled(image: Image.Image, width: int, height: int) -> NDArray[np.float32]:
    """A picture at another size, [H, W, 3] of 0..1, to be compared with a frame of that size."""
    resized = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    pixels: NDArray[np.float32] = np.asarray(resized, dtype=np.float32) / np.float32(255)
    return pixels
