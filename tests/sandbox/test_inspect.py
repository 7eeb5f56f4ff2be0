from __future__ import annotations

from pathlib import Path
from struct import pack

import pytest
from PIL import Image

from nodes.core import limits
from nodes.sandbox.inspect import InvalidMediaError, inspect_media, sniff
from tests.media_files import audio_mp4_bytes, clip_bytes, flat, gradient, image_bytes, mp3_bytes, wav_bytes


def padded(data: bytes, size: int) -> bytes:
    """Return a file with bytes after its end, which readers ignore."""
    return data + bytes(size - len(data))


def with_false_index(data: bytes) -> bytes:
    """Return an mp4 that declares 30 million samples of one byte. FFmpeg would make an index of 2 GiB."""
    at = data.index(b"stsz") + 8
    return data[:at] + pack(">2I", 1, 30_000_000) + data[at + 8 :]


def half(data: bytes) -> bytes:
    """Return a file whose transfer broke off."""
    return data[: len(data) // 2]


@pytest.mark.parametrize("field", ["image_url", "last_frame_url"])
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (flat(240, 240), "png"),
        (flat(240, 240, "L"), "png"),
        (flat(240, 240, "P"), "png"),
        (flat(240, 240, "I;16"), "png"),
        (flat(240, 240, kind="JPEG"), "jpeg"),
        (flat(240, 240, "CMYK", kind="JPEG"), "jpeg"),
        (flat(240, 240, kind="WEBP"), "webp"),
        (flat(240, 240, "RGBA", kind="WEBP"), "webp"),
        (flat(240, 240, kind="BMP"), "bmp"),
        (flat(1920, 240), "png"),
        (flat(240, 1920), "png"),
        (flat(8000, 1000, "1"), "png"),
        (flat(8000, 8000, "1"), "png"),
        (padded(flat(240, 240), limits.IMAGE.max_bytes), "png"),
    ],
)
def test_inspect_accepts_images_inside_the_limits(data: bytes, kind: str, field: str) -> None:
    facts = inspect_media(data, field)
    assert (facts.format, facts.size) == (kind, len(data))


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (flat(239, 240), "239x240"),
        (flat(240, 239), "240x239"),
        (flat(8001, 1001, "1"), "8001x1001"),
        (flat(1001, 8001, "1"), "1001x8001"),
        (flat(1921, 240), "aspect"),
        (flat(240, 1921), "aspect"),
        (padded(flat(240, 240), limits.IMAGE.max_bytes + 1), "20000001 bytes"),
        (flat(240, 240, "RGBA"), "transparency"),
        (flat(240, 240, "LA"), "transparency"),
        (image_bytes(Image.new("P", (240, 240)), transparency=0), "transparency"),
        (flat(240, 240, kind="GIF"), "not a JPEG"),
        (flat(240, 240, kind="TIFF"), "not a JPEG"),
        (half(image_bytes(gradient(300, 300))), "cannot be decoded"),
        (half(image_bytes(gradient(300, 300), "JPEG")), "cannot be decoded"),
        (b"<html>not found</html>", "not a JPEG"),
        (b"", "empty"),
        (clip_bytes(2), "not a JPEG"),
    ],
)
def test_inspect_refuses_images_outside_the_limits(data: bytes, word: str) -> None:
    with pytest.raises(InvalidMediaError, match=word):
        inspect_media(data, "image_url")


def test_inspect_measures_a_rotated_photo_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    facts = inspect_media(image_bytes(gradient(300, 400), "JPEG", exif=exif), "image_url")
    assert (facts.width, facts.height) == (400, 300)


def test_inspect_goes_by_content_not_by_name(tmp_path: Path) -> None:
    path = tmp_path / "image.mp4"
    path.write_bytes(flat(240, 240))
    assert inspect_media(path, "image_url").format == "png"
    with pytest.raises(InvalidMediaError, match="not an mp4"):
        inspect_media(path, "first_clip_url")


@pytest.mark.parametrize(
    "data",
    [
        wav_bytes(2.0),
        wav_bytes(30.0),
        wav_bytes(2.0, rate=48000, channels=2),
        mp3_bytes(2.0),
        mp3_bytes(30.0),
        mp3_bytes(3.0, rate=16000),
        padded(wav_bytes(2.0), limits.AUDIO.max_bytes),
    ],
)
def test_inspect_accepts_audio_inside_the_limits(data: bytes) -> None:
    facts = inspect_media(data, "driving_audio_url")
    assert facts.format == sniff(data[:16]) in ("wav", "mp3")
    assert 1.999 <= facts.seconds <= 30.001


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (wav_bytes(1.9), "1.900 s"),
        (wav_bytes(30.1), "30.100 s"),
        (mp3_bytes(1.9), "1.900 s"),
        (mp3_bytes(30.1), "30.100 s"),
        (padded(wav_bytes(2.0), limits.AUDIO.max_bytes + 1), "15000001 bytes"),
        (clip_bytes(2, with_audio=True), "not a wav or mp3"),
        (b"RIFF\x00\x00\x00\x00WAVEjunk", "driving_audio_url"),
        (b"ID3" + b"\0" * 500, "driving_audio_url"),
        (b"no audio at all", "not a wav or mp3"),
    ],
)
def test_inspect_refuses_audio_outside_the_limits(data: bytes, word: str) -> None:
    with pytest.raises(InvalidMediaError, match=word):
        inspect_media(data, "driving_audio_url")


@pytest.mark.parametrize(
    "data",
    [
        clip_bytes(2.0),
        clip_bytes(10.0),
        clip_bytes(2.0, kind="mov"),
        clip_bytes(2.0, with_audio=True),
        clip_bytes(2.0, codec="mpeg4"),
        clip_bytes(2.0, width=240, height=240),
        clip_bytes(2.0, width=1920, height=240, fps=2),
        clip_bytes(2.0, width=4096, height=512, fps=2),
    ],
)
def test_inspect_accepts_clips_inside_the_limits(data: bytes) -> None:
    facts = inspect_media(data, "first_clip_url")
    assert facts.format == sniff(data[:16]) in ("mp4", "mov")
    assert facts.seconds in (2.0, 10.0)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (clip_bytes(1.9), "1.900 s"),
        (clip_bytes(10.1), "10.100 s"),
        (clip_bytes(2.0, width=238, height=240), "238x240"),
        (clip_bytes(2.0, width=4098, height=520, fps=2), "4098x520"),
        (clip_bytes(2.0, width=1922, height=240, fps=2), "aspect"),
        (clip_bytes(2.0, kind="matroska"), "not an mp4 or mov"),
        (clip_bytes(2.0, kind="avi", codec="mpeg4"), "not an mp4 or mov"),
        (half(clip_bytes(2.0)), "cannot be read"),
        (with_false_index(clip_bytes(2.0)), "first_clip_url declares samples of 30000000 bytes"),
        (b"#EXTM3U\nhttp://127.0.0.1/secret\n", "not an mp4 or mov"),
    ],
)
def test_inspect_refuses_clips_outside_the_limits(data: bytes, word: str) -> None:
    with pytest.raises(InvalidMediaError, match=word):
        inspect_media(data, "first_clip_url")


def test_inspect_checks_the_size_of_a_clip_before_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    data = clip_bytes(2.0)
    for size, problem in ((limits.CLIP.max_bytes, False), (limits.CLIP.max_bytes + 1, True)):
        with path.open("wb") as file:
            file.write(data)
            # a sparse free box fills the file and takes no disk space
            file.write((size - len(data)).to_bytes(4, "big") + b"free")
            file.truncate(size)
        if problem:
            with pytest.raises(InvalidMediaError, match="100000001 bytes"):
                inspect_media(path, "first_clip_url")
        else:
            assert inspect_media(path, "first_clip_url").size == size


def test_inspect_refuses_an_mp4_without_video() -> None:
    with pytest.raises(InvalidMediaError, match="no video stream"):
        inspect_media(audio_mp4_bytes(2.0), "first_clip_url")


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"", ""), (b"\xff", ""), (b"\xff\xfb\x90\x00", "mp3"), (b"\xff\xd8\xff\xe0", "jpeg"), (b"BM", "bmp")],
)
def test_sniff_knows_short_heads(head: bytes, kind: str) -> None:
    assert sniff(head) == kind
