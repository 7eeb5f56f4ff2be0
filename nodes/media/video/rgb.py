"""Conversion of decoded frames to planes of RGB, as accurately as FFmpeg's scaler can.

Chroma is interpolated from where it was sampled, and no frame passes through fewer bits than it has. Frames are
converted in bands of rows that fit into a processor's cache, so that no second frame of floats takes memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .container import codec_of

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream

_BAND_PIXELS = 1 << 17
"""Pixels converted at a time: 1.5 MiB of floats."""
_ROWS = 16
"""The rows of a band are a multiple of it, and so of every chroma format's."""
_MARGIN = 2
"""Rows of chroma above and below a band that its own are interpolated from: what bicubic needs."""
_BICUBIC, _FULL_CHR_H_INT, _ACCURATE_RND = 0x4, 0x2000, 0x40000
"""libswscale's flags. PyAV before 18 does not have names for all of them."""
_SCALE = "flags=bicubic+full_chroma_int+accurate_rnd"
_FULL_RANGE = 2
"""FFmpeg's AVCOL_RANGE_JPEG."""
_CENTERED = ("mpeg1video", "mjpeg", "h263", "flv1", "theora")
"""Codecs from before H.264 that sample chroma in the middle of four pixels. The others sample it on the left."""
_DECLARING = ("h264", "hevc", "vvc", "mpeg2video", "mpeg4", *_CENTERED)
"""Codecs whose decoders say where chroma was sampled, also if the file does not."""
_AV1_TOP_LEFT = 2


_HDR = {16: "PQ", 18: "HLG"}
"""FFmpeg's AVCOL_TRC_SMPTE2084 and AVCOL_TRC_ARIB_STD_B67."""
_WIDE = {9: "BT.2020", 12: "Display P3"}
"""FFmpeg's AVCOL_PRI_BT2020 and AVCOL_PRI_SMPTE432."""
_BT709_PRIMARIES = 1


@dataclass(frozen=True)
class StreamColors:
    """What a stream says of the colors of its frames, and they do not.

    Attributes:
        siting: FFmpeg's name of where chroma is sampled, if a frame does not say it.
        declares: whether the frames say it.
        hdr: "HLG", "PQ", or "" for SDR.
        primaries: "BT.2020", "Display P3", or "" for BT.709 and what hardly differs from it.
    """

    siting: str = "left"
    declares: bool = True
    hdr: str = ""
    primaries: str = ""

    @classmethod
    def of(cls, stream: VideoStream) -> StreamColors:
        """Read them from a stream."""
        codec, context = codec_of(stream), stream.codec_context
        header = context.extradata or b""
        siting = "center" if codec in _CENTERED else "left"
        if codec == "av1" and len(header) > 2 and header[2] & 3 == _AV1_TOP_LEFT:
            siting = "topleft"
        hdr, primaries = _HDR.get(int(context.color_trc or 0), ""), int(context.color_primaries or 0)
        usual = "BT.2020" if hdr and primaries != _BT709_PRIMARIES else ""
        return cls(siting, codec in _DECLARING, hdr, _WIDE.get(primaries, usual))

    @property
    def conversion(self) -> str:
        """From what to what frames are converted, for a message; "" if they are not."""
        if self.hdr:
            return f"from {self.hdr} (HDR) to SDR"
        return f"from {self.primaries} to BT.709" if self.primaries else ""


@dataclass(frozen=True)
class Band:
    """Some rows of a frame, as stored.

    Attributes:
        top: the first row.
        planes: red, green, blue and, if the frame has it, alpha. They are valid until the next band, and may be
            changed.
        peaks: what stands for 1 in each plane. Floats may be above it, integers are not.
    """

    top: int
    planes: list[NDArray[Any]]
    peaks: list[float]


class RgbReader:
    """Converts frames to RGB in one thread. The frames of a stream may differ in format and size.

    Args:
        size: width and height to scale to; None for each frame's own.
    """

    def __init__(self, colors: StreamColors, size: tuple[int, int] | None = None) -> None:
        from av.video.reformatter import VideoReformatter

        self._colors, self._size = colors, size
        self._reformatter = VideoReformatter()
        # PyAV before 17 has no such argument, and its scaler asks no frame where chroma was sampled: a filter does it.
        self._old = "threads" not in (VideoReformatter.reformat.__doc__ or "")
        self._slicer: _Slicer | None = None

    def bands(self, frame: VideoFrame) -> Iterator[Band]:
        """Yield the frame from top to bottom."""
        if self._slicer is None or not self._slicer.fits(frame):
            self._slicer = self._make_slicer(frame)
        slicer = self._slicer
        target = _target_format(frame)
        peaks = _peaks(frame, target)
        flags = _BICUBIC | _FULL_CHR_H_INT | _ACCURATE_RND
        options: dict[str, Any] = {} if self._old else {"threads": 1}
        for top, rows, skipped, part in slicer.parts(frame):
            width, height = slicer.size or (part.width, part.height)
            rgb = part
            if part.format.name != target or (part.width, part.height) != (width, height):
                rgb = self._reformatter.reformat(part, width, height, target, interpolation=flags, **options)
            yield Band(top, [plane[skipped : skipped + rows] for plane in _planes(rgb)], list(peaks))

    def _make_slicer(self, frame: VideoFrame) -> _Slicer:
        size = self._size if self._size != (frame.width, frame.height) else None
        target = _target_format(frame)
        if _is_packed(target):
            filters = []
        elif self._old:
            scale = f"{_SCALE}:in_chroma_loc={self._colors.siting}" + (f":w={size[0]}:h={size[1]}" if size else "")
            filters = [("scale", scale), ("format", target)]
        else:
            filters = [] if self._colors.declares else [("setparams", f"chroma_location={self._colors.siting}")]
        return _Slicer(frame, filters, size)


class _Slicer:
    """Cuts frames of one format and size into bands, without copying them, and sends each through filters.

    Attributes:
        size: width and height to scale to. Such a frame is one band.
    """

    def __init__(self, frame: VideoFrame, filters: list[tuple[str, str]], size: tuple[int, int] | None) -> None:
        self.size = size
        self._layout = _layout(frame)
        height = frame.height
        margin = _MARGIN * _ROWS // frame.format.chroma_height(_ROWS) * (2 if frame.interlaced_frame else 1)
        self._rows = max(_ROWS, _BAND_PIXELS // frame.width // _ROWS * _ROWS)
        # The last band begins where the others could too, whatever the height is: at a row that has chroma.
        taken = self._rows + 2 * margin + height % 4
        if size is not None or taken >= height:
            self._rows, taken = height, height
        self._tops = [max(0, min(top - margin, height - taken)) for top in range(0, height, self._rows)]
        if len(self._tops) > 1:
            y = f"max(0,min(mod(n,{len(self._tops)})*{self._rows}-{margin},{height - taken}))"
            filters = [("crop", f"w={frame.width}:h={taken}:x=0:y='{y}'"), *filters]
        self._graph = filter_graph(frame, filters) if filters else None

    def fits(self, frame: VideoFrame) -> bool:
        return self._layout == _layout(frame)

    def parts(self, frame: VideoFrame) -> Iterator[tuple[int, int, int, VideoFrame]]:
        """Yield each band: its first row, how many rows it has, how many are before it, and its frame."""
        for index, start in enumerate(self._tops):
            top = index * self._rows
            rows = self.size[1] if self.size else min(self._rows, frame.height - top)
            part: Any = frame
            if self._graph is not None:
                self._graph.push(frame)
                part = self._graph.pull()
            yield top, rows, top - start, part


def _layout(frame: VideoFrame) -> tuple[str, int, int, bool]:
    return frame.format.name, frame.width, frame.height, frame.interlaced_frame


def filter_graph(frame: VideoFrame, filters: list[tuple[str, str]]) -> Any:
    """Return a graph that takes and gives frames like this one, with names and arguments of FFmpeg's filters in it."""
    from av.filter import Graph

    graph: Any = Graph()
    if hasattr(graph, "threads"):  # since PyAV 17
        graph.threads = 1  # frames are decoded, or encoded, by others at the same time
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    nodes = [graph.add(name, arguments) for name, arguments in [*filters, ("buffersink", "")]]
    graph.link_nodes(source, *nodes).configure()
    return graph


def _target_format(frame: VideoFrame) -> str:
    """Return planar floats for YUV. RGB and gray are exact as packed integers of 8 or 16 bits."""
    components, alpha = frame.format.components, has_alpha(frame)
    if frame.format.is_rgb or frame.format.has_palette or len(components) < 3:
        if max((component.bits for component in components), default=8) > 8:
            return "rgba64le" if alpha else "rgb48le"
        return "rgba" if alpha else "rgb24"
    return "gbrapf32le" if alpha else "gbrpf32le"


def has_alpha(frame: VideoFrame) -> bool:
    """Return whether the frame may have transparent parts."""
    return frame.format.has_palette or any(component.is_alpha for component in frame.format.components)


def _is_packed(format: str) -> bool:
    return format.startswith("rgb")


def _peaks(frame: VideoFrame, format: str) -> list[float]:
    """Return what the scaler makes of white and of full opacity.

    Before it makes RGB of more than 8 bits, it shifts its input to 16 bits: the largest number of n bits then ends in
    16 - n zeros. In limited range white is 235 at any depth, so the error is that of 8 bits.
    """
    if _is_packed(format):
        return [65535.0 if "64" in format or "48" in format else 255.0] * 4
    bits = frame.format.components[0].bits
    full = (((1 << bits) - 1) << (16 - bits)) / 65535
    whole = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    white = full if whole else 65280 / 65535
    return [white, white, white, full]


def _planes(frame: VideoFrame) -> list[NDArray[Any]]:
    """Return views of red, green, blue and alpha, each [H, W]."""
    name, width, height = frame.format.name, frame.width, frame.height
    if not _is_packed(name):
        planes = [_view(plane, (height, width), np.float32) for plane in frame.planes]
        return [planes[2], planes[0], planes[1], *planes[3:]]
    channels = 4 if name.startswith("rgba") else 3
    image = _view(frame.planes[0], (height, width, channels), np.uint16 if name.endswith("le") else np.uint8)
    return [image[..., channel] for channel in range(channels)]


def _view(plane: Any, shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
    size = np.dtype(kind).itemsize
    strides = (plane.line_size, size) if len(shape) == 2 else (plane.line_size, shape[2] * size, size)
    view: NDArray[Any] = np.ndarray(shape, kind, buffer=memoryview(plane), strides=strides)
    return view
