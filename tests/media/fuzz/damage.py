"""Damage to video files, at random but repeatable: flipped bytes, cut and moved pieces, boxes and tables that lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from random import Random

from nodes.core.mp4_boxes import walk_boxes

_PARENTS = frozenset(b"moov trak mdia minf stbl dinf edts udta mvex moof traf".split())
_LIES = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 1 << 24, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_NUMBER = (1, 2, 4, 8)
_TS_PACKET = 188


def damaged(data: bytes, extension: str, dice: Random) -> bytes:
    """Return a copy of a file with one to four kinds of damage."""
    copy = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4))):
        if len(copy) < 16:
            break
        dice.choice(_KINDS)(copy, extension, dice)
    return bytes(copy)


def _flip_bytes(data: bytearray, extension: str, dice: Random) -> None:
    for _ in range(dice.choice((1, 1, 2, 4, 16, 64, max(1, len(data) // 500)))):
        data[dice.randrange(len(data))] = dice.randrange(256)


def _flip_bits_in_a_header(data: bytearray, extension: str, dice: Random) -> None:
    start, end = _range_of_a_header(data, extension, dice)
    for _ in range(dice.choice((1, 1, 2, 4))):
        data[dice.randrange(start, end)] ^= 1 << dice.randrange(8)


def _lie_in_a_header(data: bytearray, extension: str, dice: Random) -> None:
    start, end = _range_of_a_header(data, extension, dice)
    size = dice.choice(_NUMBER)
    at = start + dice.randrange(max(1, end - start)) // size * size
    order = "little" if extension == "avi" else "big"
    lie = dice.choice((*_LIES, dice.randrange(1 << 32))) & ((1 << 8 * size) - 1)
    data[at : at + size] = lie.to_bytes(size, order)[: len(data) - at]


def _cut_the_end(data: bytearray, extension: str, dice: Random) -> None:
    del data[dice.randrange(1, len(data)) :]


def _cut_out(data: bytearray, extension: str, dice: Random) -> None:
    start, length = _piece(data, dice)
    del data[start : start + length]


def _double(data: bytearray, extension: str, dice: Random) -> None:
    start, length = _piece(data, dice)
    data[start:start] = data[start : start + length]


def _blank(data: bytearray, extension: str, dice: Random) -> None:
    start, length = _piece(data, dice)
    data[start : start + length] = bytes([dice.choice((0, 0xFF))]) * len(data[start : start + length])


def _copy_over(data: bytearray, extension: str, dice: Random) -> None:
    start, length = _piece(data, dice)
    target = dice.randrange(len(data))
    piece = data[start : start + length]
    data[target : target + len(piece)] = piece[: len(data) - target]


def _cut_out_a_header(data: bytearray, extension: str, dice: Random) -> None:
    start, end = _range_of_a_header(data, extension, dice)
    del data[start : dice.randrange(start + 1, end + 1)]


_KINDS: tuple[Callable[[bytearray, str, Random], None], ...] = (
    _flip_bytes,
    _flip_bits_in_a_header,
    _flip_bits_in_a_header,
    _lie_in_a_header,
    _lie_in_a_header,
    _lie_in_a_header,
    _cut_the_end,
    _cut_out,
    _cut_out_a_header,
    _double,
    _blank,
    _copy_over,
)


def _piece(data: bytearray, dice: Random) -> tuple[int, int]:
    """Return start and length of a piece: mostly a short one."""
    start = dice.randrange(len(data))
    return start, dice.choice((1, 4, 16, 188, 1000, max(1, (len(data) - start) // 2)))


def _range_of_a_header(data: bytearray, extension: str, dice: Random) -> tuple[int, int]:
    """Return start and end of something that says how the file is to be read, at random."""
    places = list(_HEADERS[extension](bytes(data))) or [(0, min(len(data), 4096))]
    start, end = dice.choice(places)
    return start, max(start + 1, min(end, len(data)))


def _mp4_headers(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the boxes outside of the frames, and their own headers once more: sizes and kinds matter most."""

    def inside(start: int, end: int, depth: int) -> Iterator[tuple[int, int]]:
        for box in walk_boxes(file, start, min(end, len(data))):
            yield box.header, box.start
            if box.kind in _PARENTS and depth < 8:
                yield from inside(box.start, box.end, depth + 1)
            elif box.kind != b"mdat":
                yield box.start, box.start + 256
            else:
                yield box.start, box.start + 64  # the parameter sets of the first frame

    file = BytesIO(data)
    return inside(0, len(data), 0)


def _matroska_headers(data: bytes) -> Iterator[tuple[int, int]]:
    yield 0, 64
    for name in (
        b"\x15\x49\xa9\x66",
        b"\x16\x54\xae\x6b",
        b"\x1c\x53\xbb\x6b",
        b"\x1f\x43\xb6\x75",
        b"\xa3",
        b"\xe0",
        b"\xe1",
    ):
        at = data.find(name)
        while at >= 0:
            yield at, at + (256 if len(name) == 4 else 16)
            at = data.find(name, at + 1) if len(name) == 4 else data.find(name, at + 4096)


def _avi_headers(data: bytes) -> Iterator[tuple[int, int]]:
    yield 0, 12
    for name in (b"LIST", b"avih", b"strh", b"strf", b"idx1", b"indx", b"00dc", b"01wb"):
        at = data.find(name)
        while at >= 0:
            yield at, at + (64 if name[0] > 0x39 else 12)
            at = data.find(name, at + 1 if name[0] > 0x39 else at + 4096)


def _ts_headers(data: bytes) -> Iterator[tuple[int, int]]:
    for at in range(0, len(data), _TS_PACKET):
        yield at, at + (64 if at < 10 * _TS_PACKET else 20)


_HEADERS: dict[str, Callable[[bytes], Iterator[tuple[int, int]]]] = {
    "mp4": _mp4_headers,
    "mov": _mp4_headers,
    "mkv": _matroska_headers,
    "webm": _matroska_headers,
    "avi": _avi_headers,
    "ts": _ts_headers,
}
