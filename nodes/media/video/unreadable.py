"""Why no frame of a file can be read, as far as its first bytes and its boxes tell."""

from __future__ import annotations

from ...core.mp4_boxes import walk_boxes
from ..files import MediaError, Source, name_of, open_binary
from .matroska import is_cut_off

_MP4 = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
"""What an mp4 or mov may begin with."""


def no_frame(source: Source, otherwise: str) -> MediaError:
    """Return the error for a file without a frame. `otherwise` ends its first sentence if the file tells no reason."""
    return MediaError(f"{name_of(source)} {_reason(source) or otherwise}")


def _reason(source: Source) -> str:
    try:
        with open_binary(source) as file:
            head, size = file.read(8), file.seek(0, 2)
            cut_off = head[4:8] in _MP4 and any(box.end > size for box in walk_boxes(file, 0, size))
    except OSError:
        return ""
    if cut_off or is_cut_off(source):
        return "is cut off: it holds less than it says, and no frame of it can be read. Make or download it again."
    return ""
