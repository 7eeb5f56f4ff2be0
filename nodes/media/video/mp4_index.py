"""What the tables of an mp4 or mov claim, looked at before FFmpeg believes them.

FFmpeg makes an index of all samples when it opens such a file. A track that gives one size for all of its samples needs
no table, so a file of 3 kB can claim millions of them: 70 bytes and 0.1 µs each, before there is anything to refuse.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from struct import unpack
from typing import BinaryIO, NamedTuple

import numpy as np

from ..files import MediaError

#: Boxes of boxes on the way to the tables, and the others that FFmpeg looks into whatever they are in.
_FOLDERS = frozenset(b"moov trak mdia minf stbl dinf edts udta tref mvex moof traf sinf schi ilst wave cmov".split())
#: Bytes of an entry of the tables that say how many they have.
_ENTRY = {b"stts": 8, b"ctts": 8, b"stsc": 12, b"stco": 4, b"co64": 8, b"stss": 4}
_MAX_DEPTH = 8
#: An mp4 has some dozen boxes, and seven more for each fragment: ten hours in pieces of half a second have 500 000.
_MAX_BOXES = 1_000_000
#: Bytes of a compressed moov that are read, and that are made of them.
_MAX_PACKED, _MAX_UNPACKED = 1 << 24, 1 << 26
#: Handlers that QuickTime names beside that of the track: where the data is.
_WHERE = frozenset((b"url ", b"alis", b"rsrc"))
#: Index entries that cost nothing worth a refusal (70 MiB). A file that was cut off claims more than it holds, too.
_HARMLESS = 1_000_000
#: Samples of one size in another file, whose size is not known: 92 hours of video at 30 fps.
_ELSEWHERE = 10_000_000
#: FFmpeg indexes plain PCM by the chunk, in steps of this many samples.
_PCM_STEP = 1024
#: QDM2 and its like make so many samples of one byte, at the most.
_PACKED_SOUND = 32
_MAX_TABLE = 1 << 24
_WAY_OUT = "The file is damaged or not meant to be played; make or download it again."


class _Box(NamedTuple):
    """kind: four letters. start, end: the content in bytes of the file; end as the box says, maybe after the file's."""

    kind: bytes
    start: int
    end: int


@dataclass
class _Track:
    """What the boxes of one trak say. size, count: of samples that are all of one size. spans: the table of stsc."""

    size: int = 0
    count: int = 0
    chunks: int = 0
    handlers: set[bytes] = field(default_factory=set)
    steps: tuple[int, int] = (0, 0)
    spans: _Box | None = None
    elsewhere: bool = False

    @property
    def plain_sound(self) -> bool:
        """Whether FFmpeg takes the samples for PCM, and indexes chunks: one time entry, with a duration of 1."""
        return self.is_sound and self.steps == (1, 1)

    @property
    def is_sound(self) -> bool:
        """Whether the samples are of sound. Of old codecs in QuickTime each is said to have a byte, and takes less."""
        return self.handlers - _WHERE == {b"soun"}


def check_claims(file: str | BytesIO, name: str) -> None:
    """Raise MediaError where the tables of an mp4 or mov claim more than there can be.

    file: a path, or a BytesIO that ends up at its start. name: what to call it in the error. Reads a few bytes of each
    box: some dozens in a plain file, a fraction of a millisecond. What is no mp4, cut off, or not understood is left to
    FFmpeg.
    """
    if isinstance(file, BytesIO):
        file.seek(0)
        _Claims(file, name).check()
        file.seek(0)
        return
    try:
        with Path(file).open("rb") as opened:
            _Claims(opened, name).check()
    except OSError:
        return  # FFmpeg says why it cannot be read


class _Claims:
    """One look through the boxes of a file."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._end = self._size = file.seek(0, 2)
        self._boxes = 0
        self._indexed = self._needed = 0

    def check(self) -> None:
        """Raise MediaError for the first claim that cannot be true."""
        # Without end: the boxes of a file that was cut off say more than there is, and are none the worse for it.
        self._walk(0, 1 << 63, _Track(), 0)

    def _walk(self, start: int, end: int, track: _Track, depth: int) -> None:
        for box in self._inside(start, end):
            if box.kind == b"trak":
                own = _Track()
                self._walk(box.start, box.end, own, depth + 1)
                self._check_track(own)
            elif box.kind in _FOLDERS:
                if depth < _MAX_DEPTH:
                    self._walk(box.start, box.end, track, depth + 1)
            else:
                self._look_at(box, track)

    def _inside(self, start: int, end: int) -> Iterator[_Box]:
        while start + 8 <= min(end, self._end) and self._boxes < _MAX_BOXES:
            self._boxes += 1
            head = self._read(start, 16)
            length, content = int.from_bytes(head[:4], "big"), start + 8
            if length == 1:  # the real one is in 64 bits
                length, content = int.from_bytes(head[8:], "big"), start + 16
            stop = min(start + length, end) if length else end
            if stop < content:
                return
            yield _Box(head[4:8], content, stop)
            start = stop

    def _read(self, start: int, count: int) -> bytes:
        self._file.seek(start)
        return self._file.read(count)

    def _look_at(self, box: _Box, track: _Track) -> None:
        if box.kind in _ENTRY:
            self._table(box, track)
        elif box.kind in (b"stsz", b"stz2"):
            self._sizes(box, track)
        elif box.kind == b"trun":
            self._fragment(box)
        elif box.kind == b"cmvd":
            self._unpack(box)
        elif box.kind == b"hdlr":
            track.handlers.add(self._read(box.start + 8, 4))
        elif box.kind == b"dref":
            # Flag 1 of a reference: the data is in this very file.
            entries = self._inside(box.start + 8, box.end)
            track.elsewhere |= any(not self._read(entry.start, 4).endswith(b"\1") for entry in entries)

    def _unpack(self, box: _Box) -> None:
        """Look into a moov that is compressed: its packed bytes come after the size that they will have."""
        packed = self._read(box.start + 4, min(box.end - box.start - 4, _MAX_PACKED))
        try:
            moov = zlib.decompressobj().decompress(packed, _MAX_UNPACKED)
        except zlib.error:
            return
        inner = _Claims(BytesIO(moov), self._name)
        inner._size = self._size
        inner.check()

    def _table(self, box: _Box, track: _Track) -> None:
        content = self._read(box.start, 16)
        if len(content) < 8:
            return
        count = int.from_bytes(content[4:8], "big")
        self._check_room(box, count, count * _ENTRY[box.kind], 8)
        if box.kind == b"stts":
            track.steps = (count, int.from_bytes(content[12:16], "big"))
        elif box.kind == b"stsc":
            track.spans = box
        elif box.kind in (b"stco", b"co64"):
            there = max(0, self._end - box.start) // _ENTRY[box.kind]
            track.chunks = max(track.chunks, min(count, there))

    def _sizes(self, box: _Box, track: _Track) -> None:
        content = self._read(box.start, 12)
        if len(content) < 12:
            return
        size, count = unpack(">II", content[4:])
        if box.kind == b"stz2":
            self._check_room(box, count, (count * content[7] + 7) // 8, 12)
        elif size == 0:
            self._check_room(box, count, count * 4, 12)
        elif count > track.count:
            track.size, track.count = size, count

    def _fragment(self, box: _Box) -> None:
        content = self._read(box.start, 8)
        if len(content) < 8:
            return
        flags, count = unpack(">II", content)
        each = 4 * (flags & 0xF00).bit_count()  # duration, size, flags, time offset
        if each:
            self._check_room(box, count, count * each, 8)
        else:
            self._check_index(count, count)  # nothing said of them: a byte at the least

    def _check_track(self, track: _Track) -> None:
        samples = entries = track.count
        if track.plain_sound and track.size:
            samples = self._samples_of(track)
            entries = samples // _PCM_STEP
        if not track.elsewhere:
            # Sound with a size of 1 may have several samples in a byte; what is refused has to be a lie for sure.
            needed = samples * track.size // (_PACKED_SOUND if track.is_sound and track.size == 1 else 1)
            self._check_index(entries, needed)
        elif entries > _ELSEWHERE:
            raise MediaError(
                f"{self._name} claims {entries} samples that are in another file; at most {_ELSEWHERE} are read from a "
                f"file of {self._size} bytes. {_WAY_OUT}"
            )

    def _samples_of(self, track: _Track) -> int:
        """How many samples the chunks hold. Each entry of stsc: from which chunk on, how many in each, which kind."""
        box = track.spans
        if box is None or box.end - box.start > _MAX_TABLE:
            return 0
        words = np.frombuffer(self._read(box.start + 8, (box.end - box.start - 8) // 12 * 12), np.uint8)
        table = words[: len(words) // 12 * 12].view(">u4").reshape(-1, 3).astype(np.int64)
        end = track.chunks + 1
        chunks = np.diff(np.append(np.minimum(table[:, 0], end), end)).clip(0)
        return int((chunks * table[:, 1]).sum())

    def _check_index(self, entries: int, needed: int) -> None:
        """Count these with all before them: a file can have many tracks."""
        self._indexed += entries
        self._needed += needed
        if self._indexed > _HARMLESS and self._needed > self._size:
            raise MediaError(
                f"{self._name} claims samples of {self._needed} bytes in all, more than the {self._size} bytes of the "
                f"file. {_WAY_OUT}"
            )

    def _check_room(self, box: _Box, count: int, needed: int, head: int) -> None:
        room = box.end - box.start - head
        if needed > room:
            raise MediaError(
                f"{self._name} claims {count} entries in its table {box.kind.decode()}, of {needed} bytes; the table "
                f"has {max(room, 0)} bytes, the file {self._size}. {_WAY_OUT}"
            )
