"""Boxes of an mp4 or mov file (ISO 14496-12). Knows nothing about codecs: those matter to whoever decodes the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Box(NamedTuple):
    """One box. Its content lies at `start` to `end`; a damaged or cut file may give an `end` beyond its own."""

    kind: bytes
    header: int
    start: int
    end: int


def walk_boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes that begin between two offsets of a file, reading 16 bytes for each.

    Stop at a header that is cut off, or that gives a length shorter than itself.
    """
    while start + 8 <= end:
        file.seek(start)
        header = file.read(16)
        length, content = int.from_bytes(header[:4], "big"), start + 8
        if length == 1:  # the real length follows in 64 bits
            length, content = int.from_bytes(header[8:], "big"), start + 16
        stop = start + length if length else end
        if content > end or stop < content:
            return
        yield Box(header[4:8], start, content, stop)
        start = stop


def mp4_problem(path: Path) -> str | None:
    """Return what is wrong with a file that should be an mp4, or None if its outermost boxes are complete.

    A cut file shows as a box that reaches beyond the end, or as a missing index (moov).
    """
    size = path.stat().st_size
    if size == 0:
        return "it is empty"
    found, checked = set(), 0
    with path.open("rb") as file:
        head = file.read(8)
        if head[4:] != b"ftyp":
            return f"it does not begin like an mp4 (first bytes {head.hex(' ')})"
        for box in walk_boxes(file, 0, size):
            if box.end > size:
                return f"it is cut off: {size} of at least {box.end} bytes arrived"
            found.add(box.kind)
            checked = box.end
    if checked < size:
        return f"it is damaged at byte {checked}"
    return None if b"moov" in found else "its index (moov) is missing"
