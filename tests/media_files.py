"""Images, audio and clips for the tests: computed, so that they are the same everywhere and have no other owner."""

from __future__ import annotations

import os
import wave
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from nodes.media.files import MediaFile, describe

RATE = 48_000
os.environ.setdefault("SVT_LOG", "1")  # errors only; otherwise SVT-AV1 prints its settings for every clip

Pixels = NDArray[np.uint8]
Samples = NDArray[np.float32]

# --- images ---------------------------------------------------------------------------------------------------------


def photo(width: int, height: int, *, seed: int = 7) -> Image.Image:
    """Draw an evening by a lake: soft gradients, hard edges and detail of every size, like a photograph."""
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
    """Return noise of about 0-1 whose detail gets fainter as it gets finer."""
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


def gradient(width: int, height: int) -> Image.Image:
    """Draw an image without noise and without edges."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], -1).astype(np.uint8))


def image_bytes(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Return the image as a file of Pillow's format `kind`."""
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(image: Image.Image) -> bytes:
    """Return the image as a PNG file, written fast."""
    return image_bytes(image, compress_level=1)


def flat(width: int, height: int, mode: str = "RGB", kind: str = "PNG") -> bytes:
    """Return an image file of one colour: small, whatever its sides."""
    return image_bytes(Image.new(mode, (width, height)), kind)


# --- audio: float32 [channels, samples], -1..1 ----------------------------------------------------------------------


def chord(channels: int, rate: int, seconds: float) -> Samples:
    """Return a sine of a different pitch in each channel."""
    time = np.arange(round(seconds * rate)) / rate
    voices = [np.sin(2 * np.pi * (330 + 110 * index) * time) for index in range(channels)]
    return np.stack(voices).astype(np.float32) / 2


def sine(channels: int, rate: int, seconds: float) -> Samples:
    """Return 440 Hz at half of full scale, the same in every channel."""
    time = np.arange(round(seconds * rate)) / rate
    return np.repeat(0.5 * np.sin(2 * np.pi * 440 * time)[None], channels, 0).astype(np.float32)


def sweep(channels: int, rate: int, seconds: float) -> Samples:
    """Return a rising tone: no two moments are alike, so a test can tell where it begins."""
    time = np.arange(round(seconds * rate)) / rate
    return np.repeat(0.5 * np.sin(2 * np.pi * (200 + 150 * time) * time)[None], channels, 0).astype(np.float32)


def melody(seconds: float, *, rate: int = RATE) -> Samples:
    """Return a slow voice-like tune in stereo: gliding notes with overtones, and pauses between."""
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


def wav(samples: Samples, *, rate: int = RATE) -> bytes:
    """Return a wav file of 16-bit samples."""
    data = BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples.T, -1, 1) * 32767).astype("<i2").tobytes())
    return data.getvalue()


def wav_bytes(seconds: float, *, rate: int = 8000, channels: int = 1) -> bytes:
    """Return a wav file with `sweep`."""
    return wav(sweep(channels, rate, seconds), rate=rate)


def mp3_bytes(seconds: float, *, rate: int = 44100) -> bytes:
    """Return an mp3 file with `sweep`, written by LAME."""
    return _audio_bytes("mp3", "libmp3lame", seconds, rate)


def audio_mp4_bytes(seconds: float) -> bytes:
    """Return an mp4 file that has audio and no video."""
    return _audio_bytes("mp4", "aac", seconds, RATE)


def _audio_bytes(kind: str, codec: str, seconds: float, rate: int) -> bytes:
    stream = BytesIO()
    with av.open(stream, "w", format=kind) as container:
        _mux_audio(container, container.add_stream(codec, rate=rate, layout="mono"), sweep(1, rate, seconds))
    return stream.getvalue()


# --- clips ----------------------------------------------------------------------------------------------------------


def moving_gradient(clip: Clip, index: int) -> Pixels:
    """Draw frame `index` of a gradient that moves, so that no two frames are alike."""
    width, height = clip.size
    if clip.colour is not None:
        return np.full((height, width, 3), clip.colour, np.uint8)
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 2 + index * 9, y * 3 + index * 5, (x + y) + index * 7], -1).astype(np.uint8)


@dataclass(frozen=True)
class Clip:
    """What `write` renders."""

    codec: str = "libx264"
    pixels: str = "yuv420p"
    size: tuple[int, int] = (96, 64)
    frames: int = 20
    fps: int | Fraction = 10
    gop: int = 250
    bit_rate: int | None = None
    times: tuple[int, ...] | None = None
    """Frame times in units of time_base, for a variable rate."""
    time_base: Fraction = Fraction(1, 1000)
    delay: float = 0.0
    """Seconds before the first frame."""
    pixel_aspect: Fraction | None = None
    colours: dict[str, int] = field(default_factory=dict)
    """Colour tags by the names that PyAV's codec context has for them."""
    options: dict[str, str] = field(default_factory=dict)
    mux: dict[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    format: str | None = None
    """Container; None: by the ending of the file's name."""
    draw: Callable[[Clip, int], Pixels] = moving_gradient
    colour: tuple[int, int, int] | None = None
    """One flat colour instead of a moving gradient."""
    audio: str | None = "aac"
    layout: str = "stereo"
    rate: int = RATE
    signal: Callable[[int, int, float], Samples] = chord
    audio_seconds: float | None = None
    """None: as long as the video."""
    audio_delay: float = 0.0


def write(path: Path, clip: Clip) -> Path:
    """Render `clip` into the file."""
    _render(str(path), clip)
    return path


def _render(target: str | BytesIO, clip: Clip) -> None:
    """Run `_write` in a thread that ends.

    When root runs it, SVT-AV1 gives the thread that opens it the highest real-time priority, and everything that is
    started from that thread later inherits it: servers and browsers that let nothing else run.
    """
    with ThreadPoolExecutor(1) as own:
        own.submit(_write, target, clip).result()


def _write(target: str | BytesIO, clip: Clip) -> None:
    with av.open(target, "w", format=clip.format, options=dict(clip.mux)) as container:
        container.metadata.update(clip.tags)
        video = _video_stream(container, clip)
        audio: Any = container.add_stream(clip.audio, rate=clip.rate, layout=clip.layout) if clip.audio else None
        for index in range(clip.frames):
            container.mux(video.encode(_frame(clip, index)))
        container.mux(video.encode())
        if audio is not None:
            seconds = clip.audio_seconds
            seconds = clip.delay + clip.frames / clip.fps if seconds is None else seconds
            channels = len(audio.layout.channels)
            _mux_audio(container, audio, clip.signal(channels, clip.rate, float(seconds)), clip.audio_delay)


def _video_stream(container: Any, clip: Clip) -> Any:
    video = container.add_stream(clip.codec, rate=clip.fps, options=dict(clip.options))
    video.width, video.height, video.pix_fmt = *clip.size, clip.pixels
    video.gop_size = clip.gop
    context = video.codec_context
    for name, value in clip.colours.items():
        setattr(context, name, value)
    if clip.bit_rate:
        video.bit_rate, context.thread_count = clip.bit_rate, 0
    if clip.pixel_aspect:
        context.sample_aspect_ratio = clip.pixel_aspect
    if clip.times is not None:
        video.time_base = context.time_base = clip.time_base
    return video


def _frame(clip: Clip, index: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(clip.draw(clip, index), format="rgb24")
    wanted = {name: value for name, value in clip.colours.items() if name in ("colorspace", "color_range")}
    if wanted:
        frame = frame.reformat(
            format=clip.pixels,
            dst_colorspace=wanted.get("colorspace"),
            dst_color_range=wanted.get("color_range"),
        )
    if clip.times is not None:
        frame.pts, frame.time_base = clip.times[index], clip.time_base
    else:
        frame.pts, frame.time_base = index + round(clip.delay * clip.fps), 1 / Fraction(clip.fps)
    return frame


def _mux_audio(container: Any, audio: Any, samples: Any, delay: float = 0.0) -> None:
    container.mux(audio.encode(_audio_frame(audio, samples, delay)))
    container.mux(audio.encode())


def _audio_frame(audio: Any, samples: Any, delay: float) -> av.AudioFrame:
    """Return the samples [C, T] as a frame for the encoder of `audio`, `delay` seconds after the start."""
    name = audio.codec_context.format.name
    if samples.shape[0] == 8 and name == "fltp":
        name = "flt"  # PyAV counts a ninth plane; the encoder's own conversion does not
    elif name in ("s16", "s16p"):
        samples = (samples * 32767).round().astype(np.int16)
    elif not name.startswith("flt"):
        name = "fltp"  # which the encoder converts itself
    samples = samples if name.endswith("p") else samples.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format=name, layout=audio.layout.name)
    frame.sample_rate, frame.pts, frame.time_base = audio.rate, round(delay * audio.rate), Fraction(1, audio.rate)
    return frame


def grey(index: int, frames: int) -> int:
    """Return the grey of a frame of `write_clip`."""
    return round(40 + 170 * index / max(1, frames - 1))


def _brightening(clip: Clip, index: int) -> Pixels:
    return np.full((clip.size[1], clip.size[0], 3), grey(index, clip.frames), np.uint8)


def _brightening_with_corner(clip: Clip, index: int) -> Pixels:
    image = _brightening(clip, index)
    image[: clip.size[1] // 3, : clip.size[0] // 3] = 255
    return image


def write_clip(
    path: Path,
    *,
    frames: int = 60,
    size: tuple[int, int] = (320, 240),
    fps: Any = 30,
    codec: str = "libx264",
    audio: float | None = None,
    pts: list[int] | None = None,
    time_base: Fraction = Fraction(1, 600),
    options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    pixel_aspect: Fraction | None = None,
    corner: bool = False,
    format: str | None = None,
    gop: int = 30,
    audio_codec: str = "aac",
    tags: Mapping[str, str] | None = None,
) -> Path:
    """Render a file whose frames get brighter.

    Args:
        pts: Frame times in units of time_base.
        corner: Whether the top left of the stored frame is white.
        rotation: Degrees by which the file says to turn its frames clockwise, as phones do.
        audio: Seconds of audio.
    """
    fast = {"preset": "ultrafast"} if codec.startswith("libx26") else {}
    clip = Clip(
        codec,
        pix_fmt,
        size,
        frames,
        fps,
        gop,
        times=tuple(pts) if pts else None,
        time_base=time_base,
        pixel_aspect=pixel_aspect,
        options={"crf": "20", **fast},
        mux=options or {},
        tags=tags or {},
        format=format,
        draw=_brightening_with_corner if corner else _brightening,
        audio=None if audio is None else audio_codec,
        signal=sine,
        audio_seconds=audio,
    )
    write(path, clip)
    return turn(path, rotation // 90) if rotation else path


def clip_bytes(
    seconds: float,
    *,
    width: int = 320,
    height: int = 240,
    fps: int = 10,
    kind: str = "mp4",
    codec: str = "libx264",
    with_audio: bool = False,
    audio_delay: float = 0.0,
    images: list[Image.Image] | None = None,
) -> bytes:
    """Return a clip of these images, or of frames that get brighter."""

    def draw(clip: Clip, index: int) -> Pixels:
        return np.asarray(images[index].convert("RGB")) if images else np.full((height, width, 3), index * 200 // count)

    count = round(seconds * fps)
    clip = Clip(
        codec,
        size=(width, height),
        frames=count,
        fps=fps,
        colours=dict.fromkeys(("colorspace", "color_primaries", "color_trc", "color_range"), 1),
        options={"preset": "ultrafast", "crf": "12"},
        format=kind,
        draw=lambda clip, index: draw(clip, index).astype(np.uint8),
        audio="aac" if with_audio else None,
        signal=sweep,
        audio_seconds=seconds,
        audio_delay=audio_delay,
    )
    stream = BytesIO()
    _render(stream, clip)
    return stream.getvalue()


def photo_clip(path: Path, *, width: int, height: int, seconds: float, fps: int = 24) -> Path:
    """Render an mp4 (H.264, AAC) in which the camera moves over `photo`, with `melody`."""
    wide = np.asarray(photo(width + 64, height))
    frames = round(seconds * fps)

    def draw(clip: Clip, index: int) -> Pixels:
        left = round(64 * index / max(1, frames - 1))
        return np.ascontiguousarray(wide[:, left : left + width])

    def signal(channels: int, rate: int, length: float) -> Samples:
        return melody(length, rate=rate)

    options = {"crf": "14", "preset": "veryfast"}
    write(path, Clip(size=(width, height), frames=frames, fps=fps, options=options, draw=draw, signal=signal))
    return path


def detailed_clip(path: Path, width: int, height: int, seconds: float, bit_rate: int, gop: int = 250) -> Path:
    """Render an mp4 (30 fps) in which a camera moves over `photo` under film grain: like what the service returns.

    x264's default preset, as a service would use: B-frames, several references, and motion that frame threads can
    follow side by side (an image that jumps across its edge makes each frame wait for the whole of the one before).
    """
    fps = 30
    frames = round(seconds * fps)
    random = np.random.default_rng(0)
    wide = np.asarray(photo(width + frames * 2, height + frames))
    grain = random.integers(-8, 8, (height * 2, width * 2, 3), np.int16)

    def draw(clip: Clip, index: int) -> Pixels:
        seen = wide[index : index + height, index * 2 : index * 2 + width]
        down, across = random.integers(0, height), random.integers(0, width)
        grained = seen + grain[down : down + height, across : across + width]
        return grained.clip(0, 255).astype(np.uint8)

    write(path, Clip(size=(width, height), frames=frames, fps=fps, gop=gop, bit_rate=bit_rate, draw=draw))
    return path


def write_timed(
    path: Path,
    *,
    images: Iterable[tuple[float, Pixels]],
    audio: Iterable[tuple[float, Samples]],
    fps: int = 30,
    codec: str = "aac",
    layout: str = "stereo",
    gop: int = 250,
    video_codec: str = "libx264",
) -> Path:
    """Write frames [H, W, 3] and pieces of audio [C, T] at the given seconds, so that both may have gaps."""
    frames, clip = list(images), Clip(video_codec, fps=fps, gop=gop, audio=codec, layout=layout)
    height, width, _ = frames[0][1].shape
    with av.open(str(path), "w") as container:
        video = _video_stream(container, replace(clip, size=(width, height)))
        track: Any = container.add_stream(codec, rate=clip.rate, layout=layout)
        for time, pixels in frames:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(time * fps), Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for time, samples in audio:
            container.mux(track.encode(_audio_frame(track, samples, time)))
        container.mux(track.encode())
    return path


def repeated(path: Path, source: Path, times: int) -> Path:
    """Write the frames of `source` over and over without encoding anything: a long clip in no time."""
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


def boxes(data: bytes, kind: bytes) -> list[int]:
    """Return the positions at which the contents of the mp4 boxes of this kind begin."""
    found, at = [], data.find(kind)
    while at >= 0:
        found.append(at + 4)
        at = data.find(kind, at + 1)
    return found


FILM_ORDER = 123 << 16 | 6
"""QuickTime's tag for front left, center, right, side left, right, low frequency: MPEG_5_1_C."""


def set_channel_layout(path: Path, tag: int) -> Path:
    """Declare another order of channels in a mov with PCM audio. No sample moves."""
    data = path.read_bytes()
    at = boxes(data, b"chan")[0] + 4  # version and flags come first
    path.write_bytes(data[:at] + tag.to_bytes(4, "big") + data[at + 4 :])
    return path


def without_decoder(path: Path) -> Path:
    """Rename the AAC of an mp4 to Apple's spatial audio (apac), as if there were no decoder for it."""
    data = path.read_bytes()
    path.write_bytes(data.replace(b"mp4a", b"apac").replace(b"esds", b"dapa"))
    return path


def turn(path: Path, quarters: int) -> Path:
    """Write a display matrix into the video track of an mp4: shown turned clockwise by `quarters`."""
    a, b = {0: (1, 0), 1: (0, 1), 2: (-1, 0), 3: (0, -1)}[quarters % 4]
    return lay_out(path, a, b, -b, a)


def lay_out(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write a display matrix into the video track of an mp4: a pixel at x, y is shown at ax + cy, bx + dy."""
    data = bytearray(path.read_bytes())
    matrix = [a, b, 0, c, d, 0, 0, 0, 1]
    at = boxes(bytes(data), b"tkhd")[0]
    at += 40 if data[at] == 0 else 52  # flags, times (64 bits in version 1), reserved, layer … then nine numbers
    for index, value in enumerate(matrix):
        scale = 1 << 30 if index % 3 == 2 else 1 << 16
        data[at + index * 4 : at + index * 4 + 4] = (value * scale).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path


# --- files as the nodes hand them to a storage ----------------------------------------------------------------------


def media_file(folder: Path, name: str = "a.png", data: bytes = b"\x89PNG some bytes" * 100) -> MediaFile:
    """Write a file whose content does not matter."""
    path = folder / name
    path.write_bytes(data)
    return describe(path)


def large_file(folder: Path, size: int, name: str = "clip.mp4") -> MediaFile:
    """Write a file whose size is not a multiple of anything."""
    block = bytes(range(256)) * 4096
    path = folder / name
    with path.open("wb") as file:
        while (left := size - file.tell()) > 0:
            file.write(block[:left])
    return describe(path)
