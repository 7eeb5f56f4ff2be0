"""An interlaced H.264 video whose frames are coded as two field pictures, as broadcasters do; x264 cannot do that."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np

_WIDTH, _ROWS = 2, 2
"""Macroblocks of 16 × 16: across, and down in each field. A frame has 32 × 64 pixels."""


def write_field_pictures(path: Path, greys: list[int], fps: int = 25) -> Path:
    """Write a frame of each grey (1 to 254). Both of its packets have times, half a frame apart."""
    data = b"".join(_frame(index, grey, fps) for index, grey in enumerate(greys))
    with av.open(BytesIO(data), format="h264") as given, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        fields = [bytes(packet) for packet in given.demux(video=0) if packet.size]
        assert len(fields) == 2 * len(greys)
        for index, field in enumerate(fields):
            packet = av.Packet(field)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 2 * fps), index % 2 == 0
            packet.pts = packet.dts = index
            container.mux(packet)
    return path


class _Bits:
    def __init__(self) -> None:
        self._bits: list[int] = []

    def put(self, value: int, count: int) -> None:
        self._bits += [value >> place & 1 for place in reversed(range(count))]

    def golomb(self, *values: int) -> None:
        for value in values:
            self.put(value + 1, 2 * (value + 1).bit_length() - 1)

    def align(self) -> None:
        self._bits += [0] * (-len(self._bits) % 8)

    def take(self) -> bytes:
        """Return what was put, filled up to whole bytes, and start over."""
        self.align()
        data = np.packbits(np.array(self._bits, np.uint8)).tobytes()
        self._bits = []
        return data


def _unit(kind: int, payload: bytes) -> bytes:
    out, zeros = bytearray(), 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return b"\0\0\0\1" + bytes([(0 if kind == 9 else 3) << 5 | kind]) + bytes(out)


def _frame(index: int, grey: int, fps: int) -> bytes:
    begin = _unit(9, b"\xf0")
    head = _sequence(fps) + _picture()
    return begin + head + _field(index, grey, bottom=False) + begin + _field(index, grey, bottom=True)


def _sequence(fps: int) -> bytes:
    bits = _Bits()
    bits.put(77 << 16 | 40, 24)  # Main profile, level 4.0
    bits.golomb(0, 0, 2, 1)  # ids, 4 bits of frame number, output in order of decoding, one reference
    bits.put(0, 1)
    bits.golomb(_WIDTH - 1, _ROWS - 1)
    bits.put(0b00101, 5)  # fields; no mixing inside of one; 8 × 8; no cropping; more follows
    bits.put(0b00001, 5)  # of which only the timing is there
    bits.put(1, 32)
    bits.put(2 * fps, 32)
    bits.put(0b100001, 6)  # a fixed rate, and the end
    return _unit(7, bits.take())


def _picture() -> bytes:
    bits = _Bits()
    bits.golomb(0, 0)
    bits.put(0, 2)
    bits.golomb(0, 0, 0)
    bits.put(0, 3)
    bits.golomb(0, 0, 0)
    bits.put(0b0001, 4)
    return _unit(8, bits.take())


def _field(index: int, grey: int, *, bottom: bool) -> bytes:
    """Return a slice of uncompressed macroblocks. The top field starts a frame, the bottom one ends it."""
    bits = _Bits()
    bits.golomb(0, 7, 0)
    bits.put(0b000010 | bottom, 6)
    if bottom:
        bits.put(0, 1)
    else:
        bits.golomb(index % 2)
        bits.put(0, 2)
    bits.golomb(0)
    data = b""
    for _ in range(_WIDTH * _ROWS):
        bits.golomb(25)
        data += bits.take() + bytes([grey]) * 256 + bytes([128]) * 128
    return _unit(1 if bottom else 5, data + b"\x80")
