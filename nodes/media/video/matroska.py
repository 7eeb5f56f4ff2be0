"""Whether a Matroska or WebM file is all there."""

from __future__ import annotations

from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def is_cut_off(file: str | PathLike[str] | BytesIO) -> bool:
    """Whether the file's segment, which holds everything, says that it goes on beyond the end of the file.

    file: a path, or a BytesIO, which is left where it is. False where the file does not tell: a recording that was
    never finished has no size, nor has a live stream.
    """
    if isinstance(file, BytesIO):
        return _is_cut_off(BytesIO(file.getvalue()))  # shares the bytes; another node may be reading the same buffer
    try:
        with Path(file).open("rb") as opened:
            return _is_cut_off(opened)
    except OSError:
        return False


def _is_cut_off(file: BinaryIO) -> bool:
    end = file.seek(0, 2)
    file.seek(0)
    if _number(file, keep_marker=True) != _EBML or (head := _number(file)) is None:
        return False
    file.seek(head, 1)
    if _number(file, keep_marker=True) != _SEGMENT or (size := _number(file)) is None:
        return False
    return file.tell() + size > end


def _number(file: BinaryIO, *, keep_marker: bool = False) -> int | None:
    """EBML's number of one to eight bytes: as many as the first has zeros at its front, and one. None for unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(length - 1), "big")
    if keep_marker:
        return value
    value &= (1 << 7 * length) - 1
    return None if value == (1 << 7 * length) - 1 else value
