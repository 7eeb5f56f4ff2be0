"""Whether a file is a whole mp4, by its outermost boxes. Knows no codec: that is for whoever decodes it."""

from __future__ import annotations

from pathlib import Path


def mp4_problem(path: Path) -> str | None:
    """What is wrong with a file that should be an mp4, or None where its outermost boxes are all there.

    Reads 16 bytes for each box: a file of any size is checked at once. A cut file shows in a box that reaches beyond
    the end, or in a missing index (moov).
    """
    size = path.stat().st_size
    if size == 0:
        return "it is empty"
    found: set[bytes] = set()
    offset = 0
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if offset == 0 and kind != b"ftyp":
                return f"it does not begin like an mp4 (first bytes {head[:8].hex(' ')})"
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            elif length == 0:
                length = size - offset  # by the standard: to the end of the file
            if len(head) < 8 or length < 8:
                return f"it is damaged at byte {offset}"
            if offset + length > size:
                return f"it is cut off: {size} bytes came of at least {offset + length}"
            found.add(kind)
            offset += length
    return None if b"moov" in found else "its index (moov) is missing"
