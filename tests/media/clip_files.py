"""Small video files of every kind, made with PyAV, and a look into what came out."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import torch


class VideoFromComponents:
    """As ComfyUI's: tensors, which it would encode itself if it were asked for a file."""

    def __init__(self, images: torch.Tensor, fps: Any = 30, audio: Any = None) -> None:
        self._components = SimpleNamespace(images=images, audio=audio, frame_rate=fps)

    def get_components(self) -> SimpleNamespace:
        return self._components

    def get_stream_source(self) -> BytesIO:
        raise AssertionError("ComfyUI would encode here")


class FileVideo:
    """As ComfyUI's VideoFromFile."""

    def __init__(self, file: str | BytesIO, window: tuple[float, float] | None = None) -> None:
        self._file = file
        if window is not None:
            self.get_active_trim_window = lambda: window

    def get_stream_source(self) -> str | BytesIO:
        return self._file

    def get_components(self) -> Any:
        raise AssertionError("the whole clip would be decoded into memory")


def tone(seconds: float, rate: int = 48_000, channels: int = 2, hertz: float = 440.0) -> dict[str, Any]:
    """A sine at half of full scale."""
    t = torch.arange(round(seconds * rate)) / rate
    wave = 0.5 * torch.sin(2 * torch.pi * hertz * t)
    return {"waveform": wave.expand(1, channels, -1), "sample_rate": rate}


def ramp(frames: int, width: int, height: int) -> torch.Tensor:
    """Frames whose grey tells their place: frame i of n is i / (n - 1)."""
    return torch.linspace(0, 1, frames)[:, None, None, None].expand(frames, height, width, 3)


def grey(index: int, frames: int) -> int:
    """The grey of a frame of `write_clip`."""
    return round(40 + 170 * index / max(1, frames - 1))


def write_clip(
    path: Path,
    *,
    frames: int = 60,
    size: tuple[int, int] = (320, 240),
    fps: Any = 30,
    codec: str = "libx264",
    sound: float | None = None,
    pts: list[int] | None = None,
    time_base: Fraction = Fraction(1, 600),
    options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    pixel_aspect: Fraction | None = None,
    corner: bool = False,
    format: str | None = None,
    gop: int = 30,
    sound_codec: str = "aac",
    tags: Mapping[str, str] | None = None,
) -> Path:
    """A file whose frames get brighter. pts: times in units of time_base. corner: white at the top left of the stored
    picture. rotation: what the file says to turn its picture by, clockwise, as phones do."""
    with av.open(str(path), "w", format=format, options=options or {}) as container:
        container.metadata.update(tags or {})
        fast = {"preset": "ultrafast"} if codec.startswith("libx26") else {}
        stream = container.add_stream(codec, rate=fps, options={"crf": "20", "g": str(gop), **fast})
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if pts:
            stream.time_base = stream.codec_context.time_base = time_base
        track = None
        if sound is not None:
            track = container.add_stream(sound_codec, rate=48_000)
            track.layout = "stereo"
        for index in range(frames):
            image = np.full((size[1], size[0], 3), grey(index, frames), np.uint8)
            if corner:
                image[: size[1] // 3, : size[0] // 3] = 255
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pix_fmt)
            if pts:
                frame.pts, frame.time_base = pts[index], time_base
            else:
                frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None and sound is not None:
            samples = tone(sound)["waveform"][0].numpy()
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 48_000, 0
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
    if rotation:
        path.write_bytes(_turned(path.read_bytes(), rotation))
    return path


def _turned(data: bytes, rotation: int) -> bytes:
    """The mp4 with the matrix of its first track header set to a clockwise rotation."""
    a, b, c, d = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[rotation]
    one, w = 0x10000, 0x40000000
    matrix = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, w)
    at = data.index(b"tkhd") + 4
    at += 40 if data[at] == 0 else 52  # version 1 has 64-bit times
    return data[:at] + matrix + data[at + 36 :]


@dataclass
class Reread:
    """What av says of a file, every frame decoded."""

    seconds: float
    video_seconds: float
    sound_seconds: float | None
    size: tuple[int, int]
    fps: Fraction
    greys: list[float]
    codec: str
    pix_fmt: str
    colour: tuple[int, int, int, int]
    first: np.ndarray
    gaps: set[Fraction]
    channels: int
    sound_rate: int


def reread(path: Path) -> Reread:
    """Decode all of it."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        sound = container.streams.audio[0] if container.streams.audio else None
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
            sound_seconds=float(sound.duration * sound.time_base) if sound else None,
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
            channels=sound.codec_context.channels if sound else 0,
            sound_rate=sound.codec_context.sample_rate if sound else 0,
        )
