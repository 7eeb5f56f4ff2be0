"""What an mp4 or mov may reveal about people, places, paths and prompts, and its removal; what is played stays.

ComfyUI's Save Video writes the whole graph into the file, phones write where they were, editors a name or a path. Such
parts are overwritten with zeros. The size of every box stays, so frames, audio, times and index stay where and what
they are. Copying the streams into a new container would depend on the library's version, and now and then loses a
rotation or an edit list.

Only the boxes that players need are known to be harmless. Everything else is blanked, whether or not FFmpeg lists it.
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from ...core.mp4_boxes import Box, walk_boxes
from ..files import MediaError, Source, open_binary
from ..video.container import is_cover, opened
from ..video.timeline import PacketError, packets_of

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer

_PARENTS = frozenset(b"moov trak mdia minf stbl dinf edts mvex moof traf mfra".split())
"""Boxes of boxes (ISO 14496-12 and QuickTime)."""
_NEEDED = frozenset(
    b"ftyp styp sidx ssix mvhd tkhd mdhd elng elst vmhd smhd nmhd mehd trex leva mfhd tfhd tfdt trun tfra mfro stts "
    b"ctts cslg stsc stsz stz2 stco co64 stss stsh sdtp sbgp sgpd saiz saio senc subs padb stdp stps tapt clip".split()
)
"""Boxes of numbers that a player may need."""
_FREE = frozenset(b"free skip wide".split())
_CODEC = frozenset(
    b"avcC hvcC lhvC vvcC av1C vpcC dvcC dvvC dvwC esds wave chan chnl srat alac dfLa dOps dac3 dec3 dac4 pcmC enda "
    b"btrt pasp clap colr fiel gama clli mdcv cclv amve vexu hfov st3d sv3d".split()
)
"""What a decoder or a screen may need of the description of a codec."""
_TAGS = frozenset(b"uuid udta meta name".split())
_HEADERS = {b"vide": 78, b"soun": 28}
"""Bytes of a sample entry before its boxes."""
_QUICKTIME_SOUND = {0: 0, 1: 16, 2: 36}
"""How many more there are in each version of QuickTime's description of audio."""
_COMPRESSOR = (42, 74)
"""Where a video sample entry has the name of the encoder."""
_MAX_DEPTH = 8
_PROGRAM = re.compile(
    rb"(VideoHandler|SoundHandler|DataHandler|Core Media (Video|Audio|Data Handler)|Lavf[\d.]*|Lavc[\d.]* [\w-]+|"
    rb"AVC Coding|HEVC Coding|H\.264|HEVC)?"
)
"""Names that FFmpeg and phones write into nearly every file. They are not worth a copy."""
_OF_FFMPEG = re.compile(
    rb".{4}meta\0{4}.{4}hdlr\0{8}mdirappl\0{9}.{4}ilst(.{4}\xa9too.{4}data\0{3}\x01\0{4}Lavf[\d.]*)?|"
    rb".{4}\xa9swr.{4}Lavf[\d.]*",
    re.DOTALL,
)
"""The content of a udta box in which FFmpeg names itself and nothing else."""
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_COMPRESSED = b"cmov"
_HARMLESS_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "creation_time"}
_MAX_NAMES, _MAX_NAME_CHARS = 4, 24
_CHUNK = 1 << 20


class Private(NamedTuple):
    """Bytes of a file that are to be blanked.

    Attributes:
        name: what they are, for a note.
        box: where the header of the box begins if it is to become free space, else None.
    """

    name: str
    start: int
    end: int
    box: int | None = None


def find_private(source: Source) -> list[Private]:
    """Return what is to be blanked in an mp4 or mov before it may leave the machine.

    Raises:
        MediaError: that cannot be told: the index is compressed, or the file cannot be read to its end.
    """
    with open_binary(source) as file:
        scan = _Scan(file)
        scan.walk(0, scan.size)
        return scan.found + [Private("unused data", *gap) for gap in _unused(source, scan) if scan.says(*gap)]


def blank(path: Path, private: Iterable[Private], source: Source) -> bool:
    """Blank parts of a copy of `source`. Return whether everything is still played as before and no tag is left."""
    with path.open("r+b") as file:
        for part in private:
            if part.box is not None:
                file.seek(part.box + 4)
                file.write(b"free")
            file.seek(part.start)
            for at in range(part.start, part.end, _CHUNK):
                file.write(bytes(min(_CHUNK, part.end - at)))
    try:
        with opened(path) as container, opened(source) as original:
            return not tags_of(container) and _played(container) == _played(original)
    except MediaError:
        return False


def tags_of(container: InputContainer) -> list[str]:
    """Return the names of the tags that FFmpeg lists for the file, without format, program and date."""
    return [name for name in container.metadata if name.lower() not in _HARMLESS_TAGS]


def names_of(private: Iterable[Private], tags: Iterable[str]) -> str:
    """Return what is blanked, for a note: tags by name, and the rest. Shortened: the file's author chose the names."""
    named = list(tags)
    names = named + [part.name for part in private if not (named and part.name == "metadata")]
    short = list(dict.fromkeys(name[:_MAX_NAME_CHARS] for name in names))
    return ", ".join(short[:_MAX_NAMES]) + (" …" if len(short) > _MAX_NAMES else "")


class _Scan:
    """One pass through the boxes of a file.

    Attributes:
        found: what is to be blanked, apart from unused bytes in mdat.
        data: start and end of the content of each mdat.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, 2)
        self.found: list[Private] = []
        self.data: list[tuple[int, int]] = []

    def says(self, start: int, end: int) -> bool:
        """Return whether there is anything but zeros between two places."""
        self._file.seek(start)
        return any(any(self._file.read(min(_CHUNK, end - at))) for at in range(start, end, _CHUNK))

    def walk(self, start: int, end: int, handler: bytes = b"", depth: int = 0) -> None:
        """Look at the boxes between two places. `handler` is the type of the track that they belong to."""
        last = start
        for box in self._boxes(start, end):
            last = box.end
            if box.kind == b"trak" and (kind := self._handler(box)) not in _HEADERS:
                self._add_box(f"{kind.decode('latin-1').strip()} track", box)
            elif box.kind == b"mdat" and depth == 0:
                self.data.append((box.start, box.end))
            elif box.kind in _PARENTS and depth < _MAX_DEPTH:
                self.walk(box.start, box.end, self._handler(box) if box.kind == b"trak" else handler, depth + 1)
            else:
                self._look(box, handler)
        self._add("unused data", last, end)

    def _look(self, box: Box, handler: bytes) -> None:
        if box.kind == b"hdlr":
            self._add_text("handler name", box.start + 24, box.end)
        elif box.kind == b"dref":
            for entry in self._boxes(box.start + 8, box.end):
                self._add("path", entry.start + 4, entry.end)
        elif box.kind == b"stsd":
            for entry in self._boxes(box.start + 8, box.end):
                self._look_at_codec(entry, handler)
        elif box.kind in _FREE:
            self._add("unused data", box.start, box.end)
        elif box.kind not in _NEEDED and not self._is_of_ffmpeg(box):
            self._add_box(self._name_of(box), box)

    def _look_at_codec(self, entry: Box, handler: bytes) -> None:
        start = entry.start + _HEADERS[handler] if handler else entry.end
        if handler == b"vide":
            self._add_text("encoder name", entry.start + _COMPRESSOR[0], entry.start + _COMPRESSOR[1])
        elif handler == b"soun":
            start += _QUICKTIME_SOUND.get(int.from_bytes(self._read(entry.start + 8, entry.start + 10), "big"), 0)
        for box in self._boxes(start, entry.end):
            if box.kind in _FREE:
                self._add("unused data", box.start, box.end)
            elif box.kind not in _CODEC:
                self._add_box(self._name_of(box), box)

    def _boxes(self, start: int, end: int) -> Iterator[Box]:
        return (box._replace(end=min(box.end, end)) for box in walk_boxes(self._file, start, end))

    def _is_of_ffmpeg(self, box: Box) -> bool:
        return box.kind == b"udta" and bool(_OF_FFMPEG.fullmatch(self._read(box.start, min(box.end, box.start + 256))))

    def _handler(self, trak: Box) -> bytes:
        """Return the type of a track: vide, soun or another one; b"" if it has none."""
        for media in self._boxes(trak.start, trak.end):
            if media.kind == b"mdia":
                for box in self._boxes(media.start, media.end):
                    if box.kind == b"hdlr":
                        return self._read(box.start + 8, box.start + 12)
        return b""

    def _name_of(self, box: Box) -> str:
        if box.kind == b"uuid":
            return "XMP" if self._read(box.start, box.start + 16) == _XMP else "uuid"
        if box.kind in _TAGS:
            return "metadata"
        return box.kind.decode() if box.kind.isalnum() else "unused data"

    def _add_box(self, name: str, box: Box) -> None:
        if box.kind == _COMPRESSED:
            raise MediaError("its index is compressed")
        if self.says(box.start, box.end):
            self.found.append(Private(name, box.start, box.end, box.header))

    def _add_text(self, name: str, start: int, end: int) -> None:
        text = self._read(start, end).strip(b"\0")
        if text and text[0] == len(text) - 1:  # QuickTime counts its characters first
            text = text[1:]
        if not _PROGRAM.fullmatch(text):
            self._add(name, start, end)

    def _add(self, name: str, start: int, end: int) -> None:
        if start < end and self.says(start, end):
            self.found.append(Private(name, start, end))

    def _read(self, start: int, end: int) -> bytes:
        self._file.seek(start)
        return self._file.read(max(0, min(end, self.size) - start))


def _unused(source: Source, scan: _Scan) -> Iterator[tuple[int, int]]:
    """Yield start and end of what no frame and no audio of the file uses: of other tracks, or left over."""
    # What an edit list leaves out is not shown, but it is a frame.
    with opened(source, ignore_editlist="1") as container:
        places = [(packet.pos, packet.size) for packet in _packets(container)]
    used = deque(sorted((at, at + size) for at, size in places if at is not None))
    if len(used) < len(places):
        raise MediaError("the places of its frames are not known")
    for start, end in sorted(scan.data):
        at = start
        while used and used[0][0] < end:
            first, last = used.popleft()
            if at < first:
                yield at, first
            at = max(at, last)
        if at < end:
            yield at, end


def _played(container: InputContainer) -> list[tuple[object, ...]]:
    """Return the times and checksums of everything that is played."""
    return [
        (packet.stream.type, packet.pts, packet.dts, packet.duration, packet.is_keyframe, zlib.crc32(bytes(packet)))
        for packet in _packets(container)
    ]


def _packets(container: InputContainer) -> Iterator[Packet[Any]]:
    streams = [stream for stream in container.streams if stream.type in ("video", "audio") and not is_cover(stream)]
    try:
        yield from (packet for packet in packets_of(container, streams) if packet.size)
    except PacketError as error:
        raise MediaError(f"it cannot be read to its end: {error}") from error
