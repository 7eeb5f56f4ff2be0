"""What a clip says beside its pictures and sound, and a copy of it that says nothing of the kind.

ComfyUI's Save Video puts the whole graph into the file, other programs a place, a name or a comment. Blanked in place:
copying the streams into a new container would be left to the library's version, which loses a turn or an edit list now
and then. Here pictures, sound, times and index stay where and what they are, byte for byte.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from struct import unpack
from typing import TYPE_CHECKING, BinaryIO

from ..video.container import opened

if TYPE_CHECKING:
    from av.container import InputContainer

_HARMLESS = {"major_brand", "minor_version", "compatible_brands", "encoder", "creation_time"}
"""Which format it is, by which program, when. Nearly every file has these, and they are not worth a copy."""
_WITH_TAGS = (b"moov", b"trak", b"moof", b"traf")
"""The boxes of ISO 14496-12 that have boxes of tags in them, beside the file itself."""
_TAGS = (b"udta", b"meta")
_DEEPEST = 2
_SHOWN_NAMES, _SHOWN_LETTERS = 4, 24


def tags_of(container: InputContainer) -> tuple[str, ...]:
    """Names of the file's tags that tell something."""
    return tuple(name for name in container.metadata if name.lower() not in _HARMLESS)


def take_out_tags(path: Path) -> bool:
    """Blank the tags of an mp4 or mov, which keeps its size. Returns whether a reader finds none any more."""
    with path.open("r+b") as file:
        _blank(file, 0, os.fstat(file.fileno()).st_size, 0)
    with opened(path) as container:
        return not tags_of(container)


def shown(names: Iterable[str]) -> str:
    """Some of the names, for a note. They are whatever the file's author made them."""
    names = [name[:_SHOWN_LETTERS] for name in names]
    return ", ".join(names[:_SHOWN_NAMES]) + (" …" if len(names) > _SHOWN_NAMES else "")


def _blank(file: BinaryIO, at: int, end: int, depth: int) -> None:
    """Make the boxes of tags between two places of the file free space, and their content zeros."""
    while at + 8 <= end:
        file.seek(at)
        size, kind = unpack(">I4s", file.read(8))
        head = 8
        if size == 1 and at + 16 <= end:  # too long for 32 bits
            (size,), head = unpack(">Q", file.read(8)), 16
        elif size == 0:  # to the end
            size = end - at
        if size < head or at + size > end:
            return
        if kind in _TAGS:
            file.seek(at + 4)
            file.write(b"free")
            file.seek(at + head)
            file.write(bytes(size - head))
        elif kind in _WITH_TAGS and depth < _DEEPEST:
            _blank(file, at + head, at + size, depth + 1)
        at += size
