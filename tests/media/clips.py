"""Small real video files for the tests, and the plain way of reading them to compare with."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 48000
os.environ.setdefault("SVT_LOG", "1")  # errors only; else it tells its settings for every clip


@dataclass(frozen=True)
class Clip:
    """What to render. times: frame times in 1/1000 s for a variable rate, None for a constant one."""

    codec: str = "libx264"
    pixels: str = "yuv420p"
    size: tuple[int, int] = (96, 64)
    frames: int = 20
    fps: int = 10
    gop: int = 250
    times: tuple[int, ...] | None = None
    options: dict[str, str] = field(default_factory=dict)
    mux: dict[str, str] = field(default_factory=dict)
    audio: str | None = "aac"
    layout: str = "stereo"
    rate: int = RATE
    colours: dict[str, int] = field(default_factory=dict)
    delay: float = 0.0  # seconds before the first frame
    colour: tuple[int, int, int] | None = None  # one flat colour instead of a moving picture


def picture(clip: Clip, index: int) -> np.ndarray:
    """Frame `index`: uint8 [H,W,3], a gradient that moves, so no two frames are alike."""
    width, height = clip.size
    if clip.colour is not None:
        return np.full((height, width, 3), clip.colour, np.uint8)
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 2 + index * 9, y * 3 + index * 5, (x + y) + index * 7], -1).astype(np.uint8)


def tone(channels: int, rate: int, seconds: float) -> np.ndarray:
    """float32 [C,T]: a sine of another pitch in each channel."""
    time = np.arange(round(seconds * rate)) / rate
    return (
        np.stack([np.sin(2 * np.pi * (330 + 110 * index) * time) for index in range(channels)]).astype(np.float32) / 2
    )


def write(path: Path, clip: Clip) -> Path:
    """Render `clip` into `path`; the container goes by the ending.

    Run by root, SVT-AV1 gives the thread that opens it the highest real-time priority, and all that is started from
    that thread later has it too: servers and browsers that let nothing else run. So it gets a thread that ends.
    """
    with ThreadPoolExecutor(1) as own:
        return own.submit(_write, path, clip).result()


def _write(path: Path, clip: Clip) -> Path:
    with av.open(str(path), "w", options=dict(clip.mux)) as container:
        video: Any = container.add_stream(clip.codec, rate=clip.fps, options=dict(clip.options))
        video.width, video.height, video.pix_fmt = *clip.size, clip.pixels
        video.gop_size = clip.gop
        for name, value in clip.colours.items():
            setattr(video.codec_context, name, value)
        if clip.times is not None:
            video.codec_context.time_base = Fraction(1, 1000)
        audio: Any = container.add_stream(clip.audio, rate=clip.rate, layout=clip.layout) if clip.audio else None
        for index in range(clip.frames):
            frame = _frame(clip, index)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None:
            _mux_tone(container, audio, clip)
    return path


def _frame(clip: Clip, index: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(picture(clip, index), format="rgb24")
    wanted = {name: value for name, value in clip.colours.items() if name in ("colorspace", "color_range")}
    if wanted:
        frame = frame.reformat(
            format=clip.pixels,
            dst_colorspace=wanted.get("colorspace"),
            dst_color_range=wanted.get("color_range"),
        )
    if clip.times is not None:
        frame.pts, frame.time_base = clip.times[index], Fraction(1, 1000)
    else:
        frame.pts, frame.time_base = index + round(clip.delay * clip.fps), Fraction(1, clip.fps)
    return frame


def _mux_tone(container: Any, audio: Any, clip: Clip) -> None:
    channels = len(audio.layout.channels)
    samples = tone(channels, clip.rate, clip.delay + clip.frames / clip.fps)
    name = audio.codec_context.format.name
    if channels == 8 and name == "fltp":
        name = "flt"  # PyAV counts a ninth plane; the encoder's own conversion does not
    if name in ("s16", "s16p"):
        samples = (samples * 32767).round().astype(np.int16)
    if not name.endswith("p"):
        samples = np.ascontiguousarray(samples.T.reshape(1, -1))
    frame = av.AudioFrame.from_ndarray(samples, format=name, layout=clip.layout)
    frame.sample_rate, frame.pts, frame.time_base = clip.rate, 0, Fraction(1, clip.rate)
    container.mux(audio.encode(frame))
    container.mux(audio.encode())


def repeated(path: Path, source: Path, times: int) -> Path:
    """The pictures of `source` over and over, without encoding anything: a long clip in no time."""
    with av.open(str(source)) as given, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        packets = [packet for packet in given.demux(given.streams.video[0]) if packet.dts is not None]
        kept = [(bytes(packet), packet.pts, packet.dts, packet.duration, packet.is_keyframe) for packet in packets]
        length, base = sum(packet.duration for packet in packets), packets[0].time_base
        for turn in range(times):
            for data, pts, dts, duration, key in kept:
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, base
                packet.pts, packet.dts, packet.duration = pts + turn * length, dts + turn * length, duration
                packet.is_keyframe = key
                container.mux(packet)
    return path


def reference(path: Path) -> np.ndarray:
    """All frames as ComfyUI core computes them: float32 [N,H,W,3]."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]) / np.float32(255)


def times_of(path: Path) -> list[float]:
    """Seconds at which the frames are shown."""
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def reference_audio(path: Path) -> np.ndarray:
    """All samples of the first audio stream as the decoder gives them, [C,T] for planar formats."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def boxes(data: bytes, kind: bytes) -> list[int]:
    """Where the contents of the mp4 boxes of this kind begin."""
    found, at = [], data.find(kind)
    while at >= 0:
        found.append(at + 4)
        at = data.find(kind, at + 1)
    return found


def turn(path: Path, quarters: int) -> Path:
    """Write a display matrix into the video track of an mp4: shown turned clockwise by `quarters`."""
    data = bytearray(path.read_bytes())
    a, b = {0: (1, 0), 1: (0, 1), 2: (-1, 0), 3: (0, -1)}[quarters % 4]
    matrix = [a, b, 0, -b, a, 0, 0, 0, 1]
    at = boxes(bytes(data), b"tkhd")[0] + 40  # version 0: flags, four times, reserved, layer … then nine numbers
    for index, value in enumerate(matrix):
        scale = 1 << 30 if index % 3 == 2 else 1 << 16
        data[at + index * 4 : at + index * 4 + 4] = (value * scale).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path
