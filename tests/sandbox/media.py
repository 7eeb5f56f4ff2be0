"""Files for the tests: small, synthetic, made anew for every run."""

from __future__ import annotations

import wave
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image


def gradient(width: int, height: int) -> Image.Image:
    """A picture without noise and without edges."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], -1).astype(np.uint8))


def photo(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """A picture with detail at every scale and grain on top, like a photograph."""
    random = np.random.default_rng(seed)
    luma = random.normal(120, 10, (height, width)).astype(np.float32)
    colour = np.zeros((height, width, 3), np.float32)
    for size in (2, 4, 8, 16, 32, 64, 128):
        luma += _cloud(random, width, height, size) * 3 * size**0.5
        for channel in range(3):
            colour[..., channel] += _cloud(random, width, height, size) * size**0.5
    return Image.fromarray(np.clip(luma[..., None] + colour, 0, 255).astype(np.uint8))


def _cloud(random: np.random.Generator, width: int, height: int, size: int) -> np.ndarray:
    grid = random.normal(0, 1, (height // size + 2, width // size + 2)).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))


def image_bytes(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The file of a picture."""
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def flat(width: int, height: int, mode: str = "RGB", kind: str = "PNG") -> bytes:
    """The file of a picture of one colour: small, whatever its sides."""
    return image_bytes(Image.new(mode, (width, height)), kind)


def tone(seconds: float, *, rate: int = 8000, channels: int = 1) -> np.ndarray:
    """A sweep, float [samples, channels]: no two moments are alike, so that it shows where it begins."""
    time = np.arange(round(seconds * rate)) / rate
    wave_ = 0.5 * np.sin(2 * np.pi * (200 + 150 * time) * time)
    return np.repeat(wave_[:, None], channels, axis=1)


def wav_bytes(seconds: float, *, rate: int = 8000, channels: int = 1) -> bytes:
    """A wav file, 16 bits."""
    stream = BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((tone(seconds, rate=rate, channels=channels) * 32767).astype("<i2").tobytes())
    return stream.getvalue()


def mp3_bytes(seconds: float, *, rate: int = 44100) -> bytes:
    """An mp3 file, as LAME writes it."""
    return _sound_bytes("mp3", "libmp3lame", seconds, rate)


def sound_mp4_bytes(seconds: float) -> bytes:
    """An mp4 file that holds sound only."""
    return _sound_bytes("mp4", "aac", seconds, 48000)


def _sound_bytes(kind: str, codec: str, seconds: float, rate: int) -> bytes:
    stream = BytesIO()
    with av.open(stream, "w", format=kind) as container:
        _write_sound(container, container.add_stream(codec, rate=rate, layout="mono"), seconds)
    return stream.getvalue()


def _write_sound(container: Any, out: Any, seconds: float, delay: float = 0.0) -> None:
    samples = tone(seconds, rate=out.rate, channels=out.channels).T.astype(np.float32)
    layout = "mono" if out.channels == 1 else "stereo"
    for start in range(0, samples.shape[1], 1024):
        chunk = np.ascontiguousarray(samples[:, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout=layout)
        frame.rate, frame.pts = out.rate, start + round(delay * out.rate)
        frame.time_base = Fraction(1, out.rate)
        container.mux(out.encode(frame))
    container.mux(out.encode(None))


def clip_bytes(
    seconds: float,
    *,
    width: int = 320,
    height: int = 240,
    fps: int = 10,
    kind: str = "mp4",
    codec: str = "libx264",
    with_sound: bool = False,
    sound_delay: float = 0.0,
    pictures: list[Image.Image] | None = None,
) -> bytes:
    """A clip; its pictures get brighter from frame to frame, where none are given."""
    stream = BytesIO()
    count = round(seconds * fps)
    with av.open(stream, "w", format=kind) as container:
        out = container.add_stream(codec, rate=fps, options={"preset": "ultrafast", "crf": "12"})
        out.width, out.height, out.pix_fmt = width, height, "yuv420p"
        context = out.codec_context
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        sound = container.add_stream("aac", rate=48000, layout="stereo") if with_sound else None
        for index in range(count):
            image = pictures[index] if pictures else Image.new("RGB", (width, height), (index * 200 // count,) * 3)
            frame = av.VideoFrame.from_image(image)
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(out.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(out.encode(None))
        if sound is not None:
            _write_sound(container, sound, seconds, sound_delay)
    return stream.getvalue()


def frames_of(path: Path | BytesIO) -> list[np.ndarray]:
    """All frames of a BT.709 video as uint8 [H, W, 3]."""
    # PyAV 14 takes the colours for BT.601 where the destination is not said to be something else than the source
    source = {"src_colorspace": "ITU709", "src_color_range": "MPEG", "dst_colorspace": "ITU601"}
    with av.open(path if isinstance(path, BytesIO) else str(path)) as container:
        return [frame.reformat(format="rgb24", **source).to_ndarray() for frame in container.decode(video=0)]


def sound_of(path: Path) -> tuple[np.ndarray, int]:
    """The sound of a file as float [channels, samples], and its rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return np.concatenate([frame.to_ndarray() for frame in container.decode(stream)], axis=1), stream.rate


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """Likeness of two pictures in dB."""
    error = np.mean((first.astype(float) - second.astype(float)) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9))


def scaled(image: Image.Image, frame: np.ndarray) -> np.ndarray:
    """A picture at the size of a frame."""
    size = (frame.shape[1], frame.shape[0])
    return np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS))
