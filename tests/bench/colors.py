"""Colors of decoded and encoded clips against the pictures they were made of, and what each way to convert costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

from nodes.media.decode.decode import decode
from nodes.media.video.images import Converter
from nodes.media.video.rgb import StreamColors, filter_graph
from tests.media_files import photo
from tests.media_reading import psnr

from .settings import Settings, table

_FRAMES = 8
_SCALE = "flags={}+accurate_rnd+full_chroma_int:in_chroma_loc=left"
_CODECS = {"8 bit": ("libx264", "yuv420p", 4, 50.0, 0), "10 bit": ("libx265", "yuv420p10le", 6, 51.0, 10_000)}


def run(settings: Settings) -> None:
    """Print PSNR and levels for each picture and depth, then the CPU time of each way to convert one frame."""
    size = (320, 192) if settings.quick else (1280, 720)
    for depth, (codec, pixels, crf, least, levels) in _CODECS.items():
        rows = []
        for name, draw in _PICTURES.items():
            original = np.stack([draw(*size, index) for index in range(_FRAMES)])
            path = _encode(settings.folder / f"{name}.mp4", original, codec, pixels, crf)
            for way, read in _readers().items():
                found = read(path)
                likeness = psnr(found.astype(np.float64), original)
                count = len(np.unique(found[..., 1]))
                rows.append([f"{name}, {way}", f"{likeness:.2f} dB", str(count)])
                if (name, way) == ("smooth", "ours"):
                    met = likeness >= least and count > levels
        table(f"{depth}, bt709 4:2:0, {codec} crf {crf}: PSNR against the original, levels of green", _HEAD, rows)
        print(f"    {'met ' if met else 'MISSED'} smooth: at least {least:g} dB, more than {levels} levels")
    _costs(settings)


_HEAD = ["picture, decoder", "PSNR", "levels"]


def _smooth(width: int, height: int, index: int) -> Any:
    y, x = np.mgrid[0:height, 0:width]
    t = index * 0.15
    waves = (np.sin(x / 97 + t) * np.cos(y / 71 - t), np.sin((x + y) / 113 - t), np.cos(x / 83 - y / 59 + t))
    return 0.5 + 0.45 * np.stack(waves, -1)


def _natural(width: int, height: int, index: int) -> Any:
    image = np.asarray(photo(width + 64, height + 64)) / 255
    return image[index : index + height, index * 2 : index * 2 + width]


def _blocks(width: int, height: int, index: int) -> Any:
    colors = np.random.default_rng(1).random((height // 16, width // 16, 3))
    return np.roll(np.kron(colors, np.ones((16, 16, 1))), index * 2, 1)


_PICTURES: dict[str, Callable[[int, int, int], Any]] = {"smooth": _smooth, "natural": _natural, "blocks": _blocks}


def _encode(path: Path, images: Any, codec: str, pixels: str, crf: int) -> Path:
    """Encode images 0..1 whose chroma is calculated in floats, sampled on the left by a filter of 1, 2, 1."""
    bits = 10 if "10" in pixels else 8
    step, kind = 1 << (bits - 8), np.uint8 if bits == 8 else np.uint16
    options = {"crf": str(crf), **({"x265-params": "log-level=none"} if codec == "libx265" else {})}
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=30, options=options)
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt = pixels
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        for index, image in enumerate(images):
            luma = image @ (0.2126, 0.7152, 0.0722)
            u, v = (image[..., 2] - luma) / 1.8556, (image[..., 0] - luma) / 1.5748
            frame = av.VideoFrame(stream.width, stream.height, pixels)
            planes = (16 + 219 * luma, 128 + 224 * _halved(u), 128 + 224 * _halved(v))
            for plane, values in zip(frame.planes, planes, strict=True):
                strides = (plane.line_size, kind().itemsize)
                view = np.ndarray(values.shape, kind, buffer=memoryview(plane), strides=strides)  # type: ignore[arg-type]
                view[...] = np.rint(values * step)
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _halved(chroma: Any) -> Any:
    rows = np.pad((chroma[0::2] + chroma[1::2]) / 2, ((0, 0), (1, 1)), "edge")
    return (rows[:, :-2:2] + 2 * rows[:, 1:-1:2] + rows[:, 2::2]) / 4


def _readers() -> dict[str, Callable[[Path], Any]]:
    readers: dict[str, Callable[[Path], Any]] = {"ours": lambda path: decode(path).images.numpy()}  # type: ignore[union-attr]
    readers["rgb24, chroma repeated (core 0.3.75)"] = lambda path: _frames(path, "rgb24") / 255
    if int(av.__version__.split(".")[0]) >= 17:
        readers["gbrpf32le (core since 0.20)"] = lambda path: _frames(path, "gbrpf32le")
    try:
        from torchcodec.decoders import VideoDecoder

        readers["torchcodec"] = lambda path: VideoDecoder(str(path), dimension_order="NHWC")[:].numpy() / 255
    except (ImportError, OSError, RuntimeError):
        print("torchcodec is not installed, or found no FFmpeg libraries")
    return readers


def _frames(path: Path, target: str) -> Any:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format=target) for frame in container.decode(video=0)])


def _costs(settings: Settings) -> None:
    size = (320, 192) if settings.quick else (1920, 1080)
    original = np.stack([_natural(*size, index) for index in range(_FRAMES)])
    path = _encode(settings.folder / "costs.mp4", original, "libx264", "yuv420p", 17)
    with av.open(str(path)) as container:
        colors = StreamColors.of(container.streams.video[0])
        frames = list(container.decode(video=0))
    rows = []
    for name, way in _ways(frames[0], colors).items():
        way(frames[0])
        spent = []
        for _ in range(settings.runs):
            for frame in frames:
                before = time.process_time()
                way(frame)
                spent.append(time.process_time() - before)
        rows.append([name, f"{np.median(spent) * 1000:.2f} ms", f"{min(spent) * 1000:.2f} ms"])
    table(f"One frame of {size[0]}×{size[1]} to float32 RGB, CPU", ["way", "median", "least"], rows)


def _ways(first: Any, colors: StreamColors) -> dict[str, Callable[[Any], None]]:
    """Return every way that was tried."""
    shape = first.height, first.width, 3
    out = np.ones(shape, np.float32)
    converter = Converter(first, (first.width, first.height), colors)
    graphs = {
        (target, kernel): filter_graph(first, [("scale", _SCALE.format(kernel)), ("format", target)])
        for target in ("gbrp", "gbrp16le", "gbrpf32le", "yuv444p", "yuv444p16le")
        for kernel in ("bicubic", "bilinear")
    }

    def planes(frame: Any, target: str, kernel: str = "bicubic") -> list[Any]:
        graph = graphs[target, kernel]
        graph.push(frame)
        made = graph.pull()
        kind = {"gbrp": np.uint8, "gbrp16le": np.uint16}.get(target, np.float32)
        return [_view(made.planes[index], shape[:2], kind) for index in (2, 0, 1)]

    def interleave(frame: Any, target: str, peak: float) -> None:
        made = planes(frame, target)
        for top in range(0, shape[0], 72):
            packed = np.stack([plane[top : top + 72] for plane in made], -1)
            np.divide(packed, np.float32(peak), out=out[top : top + 72], dtype=np.float32)

    def strided(frame: Any, target: str, peak: float) -> None:
        for channel, plane in enumerate(planes(frame, target)):
            np.divide(plane, np.float32(peak), out=out[..., channel], dtype=np.float32)

    def copied(frame: Any, kernel: str) -> None:
        for channel, plane in enumerate(planes(frame, "gbrpf32le", kernel)):
            out[..., channel] = plane

    def packed(frame: Any) -> None:
        np.divide(frame.to_ndarray(format="rgb24"), np.float32(255), out=out, dtype=np.float32)

    def scaled_only(target: str) -> Callable[[Any], None]:
        def way(frame: Any) -> None:
            graphs[target, "bicubic"].push(frame)
            graphs[target, "bicubic"].pull()

        return way

    return {
        "ours: gbrpf32le in bands, corrected": lambda frame: converter.write(frame, out),
        "rgb24 with repeated chroma, divided": packed,
        "gbrpf32le bicubic, whole, uncorrected": lambda frame: copied(frame, "bicubic"),
        "gbrpf32le bilinear, whole, uncorrected": lambda frame: copied(frame, "bilinear"),
        "gbrp, interleaved in slices, divided": lambda frame: interleave(frame, "gbrp", 255),
        "gbrp16le, interleaved in slices, divided": lambda frame: interleave(frame, "gbrp16le", 65280),
        "gbrp, divided into every third value": lambda frame: strided(frame, "gbrp", 255),
        "gbrp16le, divided into every third value": lambda frame: strided(frame, "gbrp16le", 65280),
        "4:4:4 with 8 bits alone, no RGB yet": scaled_only("yuv444p"),
        "4:4:4 with 16 bits alone, no RGB yet": scaled_only("yuv444p16le"),
    }


def _view(plane: Any, shape: tuple[int, ...], kind: Any) -> Any:
    return np.ndarray(shape, kind, buffer=memoryview(plane), strides=(plane.line_size, np.dtype(kind).itemsize))
