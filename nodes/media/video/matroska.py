"""Detection of a Matroska or WebM file that was cut off."""

from __future__ import annotations

from typing import BinaryIO

from ..files import Source, open_binary

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def is_cut_off(source: Source) -> bool:
    """Return whether the file's segment, which holds everything, is said to go on beyond the end of the file.

    False if the file does not say: an unfinished recording has no size, and neither has a live stream.
    """
    try:
        with open_binary(source) as file:
            if file.read(4) != _EBML or (head := _read_size(file)) is None:
                return False
            file.seek(head, 1)
            if file.read(4) != _SEGMENT or (size := _read_size(file)) is None:
                return False
            return file.tell() + size > file.seek(0, 2)
    except OSError:
        return False


def _read_size(file: BinaryIO) -> int | None:
    """Read an EBML number of 1 to 8 bytes, as many as its first byte has leading zeros plus one. None: unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    most = (1 << 7 * length) - 1
    value = int.from_bytes(first + file.read(length - 1), "big") & most
    return None if value == most else value
