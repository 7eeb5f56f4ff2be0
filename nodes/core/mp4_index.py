"""Check of the sample tables of an mp4 or mov before FFmpeg trusts them.

FFmpeg builds an index of all samples when it opens such a file. A track whose samples all have one size needs no table,
so a file of 3 kB can declare millions of samples: 70 bytes and 0.1 µs each, before there is anything to refuse.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from struct import unpack
from typing import BinaryIO

import numpy as np

from .mp4_boxes import Box, walk_boxes

_PARENTS = frozenset(b"moov trak mdia minf stbl dinf edts udta tref mvex moof traf sinf schi ilst wave cmov".split())
"""Boxes of boxes on the way to the tables, and the others that FFmpeg looks into wherever they are."""
_TABLES = {b"stts": 8, b"ctts": 8, b"stsc": 12, b"stco": 4, b"co64": 8, b"stss": 4, b"stsz": 0, b"stz2": 0, b"trun": 0}
"""Tables that say how many entries they have, and the bytes of an entry; 0 if that is said in the table."""
_MAX_DEPTH = 8
_MAX_BOXES = 1_000_000
"""An mp4 has a few dozen boxes, and seven more for each fragment: ten hours in fragments of 0.5 s have 500,000."""
_MAX_PACKED, _MAX_UNPACKED = 1 << 24, 1 << 26
"""Bytes of a compressed moov that are read, and that are unpacked from them."""
_DATA_HANDLERS = frozenset((b"url ", b"alis", b"rsrc"))
"""Handlers that QuickTime names beside that of the track: they say where the data is."""
_HARMLESS = 1_000_000
"""Index entries that are not worth a refusal (70 MiB). A file that was cut off declares more than it holds, too."""
_MAX_ELSEWHERE = 10_000_000
"""Samples of one size in another file, whose size is not known: 92 hours of video at 30 fps."""
_PCM_STEP = 1024
"""FFmpeg indexes plain PCM by the chunk, in steps of this many samples."""
_PACKED_AUDIO = 32
"""The most samples that QDM2 and similar codecs make of one byte."""
_MAX_TABLE = 1 << 24
_WAY_OUT = "The file is damaged or not meant to be played; make or download it again."


@dataclass
class _Track:
    """What the boxes of one trak say.

    Attributes:
        size, count: of samples that all have one size.
        steps: entries of the time table (stts), and the duration in its first one.
        spans: the table that says how many samples a chunk has (stsc).
        elsewhere: the samples are in another file.
    """

    size: int = 0
    count: int = 0
    chunks: int = 0
    handlers: set[bytes] = field(default_factory=set)
    steps: tuple[int, int] = (0, 0)
    spans: Box | None = None
    elsewhere: bool = False

    @property
    def is_audio(self) -> bool:
        """Whether the samples are audio. Old QuickTime codecs declare a byte for each, and take less."""
        return self.handlers - _DATA_HANDLERS == {b"soun"}

    @property
    def is_pcm(self) -> bool:
        """Whether FFmpeg takes the samples for PCM, and indexes chunks: one time entry, with a duration of 1."""
        return self.is_audio and self.steps == (1, 1)


class FalseIndexError(ValueError):
    """An mp4 or mov declares more than it can hold."""


def check_index(file: BinaryIO, name: str) -> None:
    """Check that the tables of an mp4 or mov declare no more than the file can hold.

    Reads a few bytes of each box: some dozens in a plain file, a fraction of a millisecond. A file that is not an mp4,
    is cut off or is not understood is left to FFmpeg.

    Raises:
        FalseIndexError: more samples or table entries are declared than there can be.
        OSError: the file cannot be read.
    """
    _IndexCheck(file, name).run()


class _IndexCheck:
    """One pass through the boxes of a file. Samples are counted over all tracks: a file can have many."""

    def __init__(self, file: BinaryIO, name: str, size: int | None = None) -> None:
        self._file, self._name = file, name
        self._end = file.seek(0, 2)
        self._size = self._end if size is None else size
        self._boxes = self._indexed = self._needed = 0

    def run(self) -> None:
        """Raise FalseIndexError for the first number that cannot be true."""
        # No end: the boxes of a file that was cut off end after it, which does not make their tables wrong.
        self._walk(0, 1 << 63, _Track(), 0)

    def _walk(self, start: int, end: int, track: _Track, depth: int) -> None:
        for box in self._boxes_in(start, end):
            if box.kind == b"trak":
                own = _Track()
                self._walk(box.start, box.end, own, depth + 1)
                self._check_track(own)
            elif box.kind not in _PARENTS:
                self._read_box(box, track)
            elif depth < _MAX_DEPTH:
                self._walk(box.start, box.end, track, depth + 1)

    def _boxes_in(self, start: int, end: int) -> Iterator[Box]:
        for box in walk_boxes(self._file, start, min(end, self._end)):
            self._boxes += 1
            if self._boxes > _MAX_BOXES:
                return
            yield box if box.end <= end else box._replace(end=end)

    def _read(self, start: int, count: int) -> bytes:
        self._file.seek(start)
        return self._file.read(count)

    def _read_box(self, box: Box, track: _Track) -> None:
        if box.kind == b"cmvd":
            self._read_compressed(box)
        elif box.kind == b"hdlr":
            track.handlers.add(self._read(box.start + 8, 4))
        elif box.kind == b"dref":
            # Flag 1 of a reference: the data is in this very file.
            entries = self._boxes_in(box.start + 8, box.end)
            track.elsewhere |= any(not self._read(entry.start, 4).endswith(b"\1") for entry in entries)
        elif box.kind in _TABLES:
            # Zeros stand for what was cut off: they make a number smaller, which is never refused.
            self._read_table(box, unpack(">4I", self._read(box.start, 16).ljust(16, b"\0")), track)

    def _read_compressed(self, box: Box) -> None:
        """Check a compressed moov: its unpacked size, then the packed bytes."""
        packed = self._read(box.start + 4, min(box.end - box.start - 4, _MAX_PACKED))
        try:
            moov = zlib.decompressobj().decompress(packed, _MAX_UNPACKED)
        except zlib.error:
            return
        _IndexCheck(BytesIO(moov), self._name, self._size).run()

    def _read_table(self, box: Box, words: tuple[int, ...], track: _Track) -> None:
        if box.kind == b"trun":
            flags, count = words[:2]
            if each := 4 * (flags & 0xF00).bit_count():  # duration, size, flags, time offset
                self._check_table(box, count, count * each, 8)
            else:
                self._check_samples(count, count)  # nothing is said of them: a byte at the least
        elif box.kind in (b"stsz", b"stz2"):
            size, count = words[1:3]
            if box.kind == b"stz2":
                self._check_table(box, count, (count * (size & 0xFF) + 7) // 8, 12)
            elif size == 0:
                self._check_table(box, count, count * 4, 12)
            elif count > track.count:
                track.size, track.count = size, count
        else:
            count, entry = words[1], _TABLES[box.kind]
            self._check_table(box, count, count * entry, 8)
            if box.kind == b"stts":
                track.steps = (count, words[3])
            elif box.kind == b"stsc":
                track.spans = box
            elif box.kind in (b"stco", b"co64"):
                track.chunks = max(track.chunks, min(count, max(0, self._end - box.start) // entry))

    def _check_track(self, track: _Track) -> None:
        samples = entries = track.count
        if track.is_pcm and track.size:
            samples = self._samples_in_chunks(track)
            entries = samples // _PCM_STEP
        if not track.elsewhere:
            # Audio with a size of 1 may have several samples in a byte; only what is certainly wrong is refused.
            packed = _PACKED_AUDIO if track.is_audio and track.size == 1 else 1
            self._check_samples(entries, samples * track.size // packed)
        elif entries > _MAX_ELSEWHERE:
            raise FalseIndexError(
                f"{self._name} declares {entries} samples that are in another file; at most {_MAX_ELSEWHERE} are read "
                f"from a file of {self._size} bytes. {_WAY_OUT}"
            )

    def _samples_in_chunks(self, track: _Track) -> int:
        """Count the samples in the chunks. An entry of stsc: from which chunk on, how many in each, which kind."""
        box = track.spans
        if box is None or box.end - box.start > _MAX_TABLE:
            return 0
        words = np.frombuffer(self._read(box.start + 8, (box.end - box.start - 8) // 12 * 12), np.uint8)
        table = words[: len(words) // 12 * 12].view(">u4").reshape(-1, 3).astype(np.int64)
        end = track.chunks + 1
        chunks = np.diff(np.append(np.minimum(table[:, 0], end), end)).clip(0)
        return int((chunks * table[:, 1]).sum())

    def _check_samples(self, entries: int, needed: int) -> None:
        self._indexed += entries
        self._needed += needed
        if self._indexed > _HARMLESS and self._needed > self._size:
            raise FalseIndexError(
                f"{self._name} declares samples of {self._needed} bytes in all, more than the {self._size} bytes of "
                f"the file. {_WAY_OUT}"
            )

    def _check_table(self, box: Box, count: int, needed: int, head: int) -> None:
        room = box.end - box.start - head
        if needed > room:
            raise FalseIndexError(
                f"{self._name} declares {count} entries in its table {box.kind.decode()}, of {needed} bytes; the table "
                f"has {max(room, 0)} bytes, the file {self._size}. {_WAY_OUT}"
            )
