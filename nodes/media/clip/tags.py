"""Tags of a clip, and their removal without touching anything that is played.

ComfyUI's Save Video writes the whole graph into the file, other programs a place, a name or a comment. The tags are
blanked in place. Copying the streams into a new container would depend on the library's version, and now and then loses
a rotation or an edit list. Here frames, audio, times and index stay where and what they are, byte for byte.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ...core.mp4_boxes import walk_boxes
from ..video.container import opened

if TYPE_CHECKING:
    from av.container import InputContainer

_HARMLESS = {"major_brand", "minor_version", "compatible_brands", "encoder", "creation_time"}
"""Format, program and date. Nearly every file has these, and they are not worth a copy."""
_PARENTS = (b"moov", b"trak", b"moof", b"traf")
"""The boxes of ISO 14496-12 that contain boxes of tags, beside the file itself."""
_TAG_BOXES = (b"udta", b"meta")
_MAX_DEPTH = 2
_MAX_NAMES, _MAX_NAME_CHARS = 4, 24


def tags_of(container: InputContainer) -> tuple[str, ...]:
    """Return the names of the file's tags that may be private."""
    return tuple(name for name in container.metadata if name.lower() not in _HARMLESS)


def blank_tags(path: Path) -> bool:
    """Blank the tags of an mp4 or mov, which keeps its size. Return whether a reader no longer finds any."""
    with path.open("r+b") as file:
        _blank(file, 0, os.fstat(file.fileno()).st_size, 0)
    with opened(path) as container:
        return not tags_of(container)


def short_list(names: Iterable[str]) -> str:
    """Join some of the names for a note, shortened: the file's author chose them."""
    names = [name[:_MAX_NAME_CHARS] for name in names]
    return ", ".join(names[:_MAX_NAMES]) + (" …" if len(names) > _MAX_NAMES else "")


def _blank(file: BinaryIO, start: int, end: int, depth: int) -> None:
    """Turn the boxes of tags between two places of the file into free space, and their content into zeros."""
    for box in walk_boxes(file, start, end):
        if box.end > end:
            return
        if box.kind in _TAG_BOXES:
            file.seek(box.header + 4)
            file.write(b"free")
            file.seek(box.start)
            file.write(bytes(box.end - box.start))
        elif box.kind in _PARENTS and depth < _MAX_DEPTH:
            _blank(file, box.start, box.end, depth + 1)
