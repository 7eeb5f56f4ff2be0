"""Tables that declare more than can be in the file, and those that do not."""

from __future__ import annotations

import random
import zlib
from io import BytesIO
from pathlib import Path
from struct import pack

import pytest

from nodes.core.mp4_index import FalseIndexError, check_index
from nodes.media.decode.decode import decode
from nodes.media.files import MediaError
from nodes.media.video.container import opened
from tests.media_files import Clip, boxes, write

MANY = 30_000_000
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}
_AUDIO = Clip(audio="pcm_s16le")


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return pack(">I", 8 + len(content)) + kind + content


def table(kind: bytes, *numbers: int) -> bytes:
    return box(kind, bytes(4), pack(f">{len(numbers)}I", *numbers))


def file_of(*tables: bytes, handler: bytes = b"vide", flags: int = 1) -> BytesIO:
    """Return a small mp4 with one track that has these tables."""
    head = box(b"hdlr", bytes(8), handler, bytes(13))
    reference = box(b"dinf", box(b"dref", bytes(4), pack(">I", 1), box(b"url ", pack(">I", flags))))
    media = box(b"mdia", head, box(b"minf", reference, box(b"stbl", *tables)))
    return BytesIO(box(b"ftyp", b"isom", bytes(4)) + box(b"moov", box(b"trak", media)) + box(b"mdat", bytes(2000)))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(tmp_path_factory.mktemp("index") / "clip.mp4", Clip()).read_bytes()


def changed(data: bytes, kind: bytes, offset: int, *numbers: int) -> bytes:
    """Overwrite the numbers of the first box of this kind."""
    at = boxes(data, kind)[0] + offset
    return data[:at] + pack(f">{len(numbers)}I", *numbers) + data[at + 4 * len(numbers) :]


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("clip.mp4", Clip()),
        ("front.mp4", Clip(mux={"movflags": "faststart"})),
        ("fragments.mp4", Clip(gop=5, mux=_FRAGMENTED)),
        ("audio.mov", _AUDIO),
        ("fragmented.mov", Clip(audio="pcm_s16le", gop=5, mux=_FRAGMENTED)),
        ("raw.mov", Clip(codec="rawvideo", pixels="uyvy422", audio=None)),
        ("clip.mkv", Clip()),
        ("clip.avi", Clip(codec="mpeg4", audio=None)),
        ("clip.ts", Clip()),
    ],
)
def test_check_index_accepts_playable_files(tmp_path: Path, name: str, made: Clip) -> None:
    path = write(tmp_path / name, made)

    check_index(BytesIO(path.read_bytes()), name)

    assert decode(path).frame_count == 20


@pytest.mark.parametrize("made", [Clip(), Clip(mux={"movflags": "faststart"}), Clip(mux=_FRAGMENTED), _AUDIO])
def test_check_index_leaves_cut_files_to_ffmpeg(tmp_path: Path, made: Clip) -> None:
    data = write(tmp_path / "clip.mov", made).read_bytes()
    for length in (*range(0, 64), *range(64, len(data), 97)):
        check_index(BytesIO(data[:length]), "clip.mov")


def test_check_index_leaves_noise_to_ffmpeg() -> None:
    chance = random.Random(3)
    for _ in range(200):
        check_index(BytesIO(b"\0\0\0\0moov" + chance.randbytes(200)), "noise")


def test_check_index_accepts_cut_pcm_audio() -> None:
    """An hour of audio, of which a few bytes are left. FFmpeg makes one entry of 1024 samples or more."""
    count, chunks = 48_000 * 3600, 100
    tables = (table(b"stts", 1, count, 1), table(b"stsz", 4, count), table(b"stsc", 1, 1, count // chunks, 1))
    check_index(file_of(*tables, table(b"stco", chunks, *range(chunks)), handler=b"soun"), "audio.mov")


def test_check_index_does_not_compare_samples_of_another_file() -> None:
    tables = (table(b"stsz", 1000, 2_000_000), table(b"stts", 1, 2_000_000, 1))
    check_index(file_of(*tables, flags=0), "reference.mov")
    with pytest.raises(FalseIndexError, match="declares samples of 2000000000 bytes"):
        check_index(file_of(*tables), "reference.mov")
    with pytest.raises(FalseIndexError, match=f"declares {MANY} samples that are in another file; at most 10000000"):
        check_index(file_of(table(b"stsz", 1000, MANY), flags=0), "reference.mov")


def test_opened_refuses_impossible_samples_before_ffmpeg(
    clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(changed(clip, b"stsz", 4, 1, MANY))
    monkeypatch.setattr("av.open", lambda *_, **__: pytest.fail("FFmpeg has opened it"))

    text = rf"clip.mp4 declares samples of {MANY} bytes in all, more than the {len(clip)} bytes of the file.+again"
    with pytest.raises(MediaError, match=text), opened(path):
        pass
    with pytest.raises(MediaError, match=r"^The video declares samples"), opened(BytesIO(path.read_bytes())):
        pass


@pytest.mark.parametrize("kind", [b"stsz", b"stts", b"ctts", b"stsc", b"stco", b"co64", b"stz2"])
def test_check_index_refuses_more_entries_than_the_table_holds(kind: bytes) -> None:
    numbers = {b"stsz": (0, 3), b"stz2": (8, 13)}.get(kind, (2,))
    source = file_of(table(kind, *numbers, 1))
    text = rf"clip.mp4 declares {numbers[-1]} entries in its table {kind.decode()}, of .+"
    with pytest.raises(FalseIndexError, match=text):
        check_index(source, "clip.mp4")


def test_check_index_follows_each_kind_of_box_length() -> None:
    tables = box(b"stbl", table(b"stsz", 1, MANY))
    rest = tables[4:]
    for written in (tables, bytes(4) + rest, pack(">I", 1) + rest[:4] + pack(">Q", len(tables) + 8) + rest[4:]):
        with pytest.raises(FalseIndexError, match="declares samples"):
            check_index(BytesIO(box(b"free") + box(b"moov", box(b"trak", written))), "clip.mp4")


def test_check_index_adds_up_tracks() -> None:
    track = box(b"trak", table(b"stsz", 1, 900_000))
    check_index(BytesIO(box(b"moov", track)), "clip.mp4")
    with pytest.raises(FalseIndexError, match="declares samples of 1800000 bytes"):
        check_index(BytesIO(box(b"moov", track, track)), "clip.mp4")


def test_check_index_counts_pcm_chunks_and_fragments() -> None:
    chunks = table(b"stco", 40, *range(40))
    spans = table(b"stsc", 2, 1, 7, 1, 3, (1 << 31) - 1, 1)
    audio = (table(b"stts", 1, 1, 1), table(b"stsz", 1, 1), spans, chunks)
    with pytest.raises(FalseIndexError, match="declares samples"):
        check_index(file_of(*audio, handler=b"soun"), "audio.mov")
    run = box(b"moof", box(b"traf", box(b"trun", pack(">II", 1, MANY), bytes(4))))
    with pytest.raises(FalseIndexError, match="declares samples"):
        check_index(BytesIO(run), "clip.mp4")


def test_check_index_ends_on_nested_and_endless_boxes() -> None:
    nested = b""
    for _ in range(3000):
        nested = box(b"moov", nested)
    check_index(BytesIO(nested), "clip.mp4")
    check_index(BytesIO(box(b"free") * 150_000), "clip.mp4")


def quicktime(*tables: bytes) -> BytesIO:
    """Return audio as QuickTime writes it: with a second handler, of the data."""
    handlers = (box(b"hdlr", bytes(8), b"soun", bytes(13)), box(b"hdlr", bytes(8), b"url ", bytes(13)))
    media = box(b"mdia", handlers[0], box(b"minf", handlers[1], box(b"stbl", *tables)))
    return BytesIO(box(b"ftyp", b"qt  ", bytes(4)) + box(b"moov", box(b"trak", media)) + box(b"mdat", bytes(200_000)))


def test_check_index_counts_quicktime_audio_by_chunk_and_below_a_byte() -> None:
    count, chunks = 2_000_000, 100
    spans = (table(b"stsc", 1, 1, count // chunks, 1), table(b"stco", chunks, *range(chunks)))
    check_index(quicktime(table(b"stts", 1, count, 1), table(b"stsz", 4, count), *spans), "cut off.mov")
    check_index(quicktime(table(b"stts", 1, count, 2), table(b"stsz", 1, count), *spans), "qdm2.mov")


@pytest.mark.parametrize("kind", [b"sinf", b"schi", b"ilst", b"wave", b"cmov"])
def test_check_index_reads_every_parent_box_that_ffmpeg_reads(kind: bytes) -> None:
    track = box(b"trak", box(kind, table(b"stsz", 1, MANY)))
    with pytest.raises(FalseIndexError, match="declares samples"):
        check_index(BytesIO(box(b"moov", track)), "clip.mp4")


def test_check_index_unpacks_a_compressed_moov(clip: bytes) -> None:
    moov = box(b"moov", box(b"trak", table(b"stsz", 1, MANY)))
    packed = box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", pack(">I", len(moov)), zlib.compress(moov)))
    with pytest.raises(FalseIndexError, match=f"declares samples of {MANY} bytes"):
        check_index(BytesIO(box(b"ftyp", b"qt  ", bytes(4)) + box(b"moov", packed)), "clip.mov")
    at = boxes(clip, b"moov")[0] - 8
    length = int.from_bytes(clip[at : at + 4], "big")
    original = box(
        b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", pack(">I", length), zlib.compress(clip[at : at + length]))
    )
    check_index(BytesIO(clip[:at] + box(b"moov", original) + clip[at + length :]), "clip.mov")
