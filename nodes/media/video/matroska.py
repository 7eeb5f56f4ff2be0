"""Detection of a Matroska or WebM file that was cut off."""

from __future__ import annotations

from typing import BinaryIO

from ..files import Source, open_binary

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def is_cut_off(source: Source) -> bool:
    """Return whether the file's segment, which holds everything, is said to go on beyond the end of the file.

    False if the file does not say: an unfinished recording has no size, and neither has a live stream.
    """
    try:
        with open_binary(source) as file:
            return _segment_end(file) > file.seek(0, 2)
    except OSError:
        return False


def _segment_end(file: BinaryIO) -> int:
    """Return where the segment should end, 0 if unknown."""
    if _read_number(file, keep_marker=True) != _EBML or (head := _read_number(file)) is None:
        return 0
    file.seek(head, 1)
    if _read_number(file, keep_marker=True) != _SEGMENT or (size := _read_number(file)) is None:
        return 0
    return file.tell() + size


def _read_number(file: BinaryIO, *, keep_marker: bool = False) -> int | None:
    """Read EBML's number of one to eight bytes, as many as its first byte has leading zeros plus one. None: unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(length - 1), "big")
    if keep_marker:
        return value
    value &= (1 << 7 * length) - 1
    return None if value == (1 << 7 * length) - 1 else value
