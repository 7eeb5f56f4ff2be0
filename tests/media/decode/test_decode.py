from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from nodes.media.decode.decode import Decoded, DecodeOptions, decode
from nodes.media.decode.memory import MemoryRefusedError
from nodes.media.files import MediaCancelled, MediaError
from tests.media_files import RATE, Clip, audio_mp4_bytes, boxes, chord, turn, write
from tests.media_reading import reference, reference_audio, same_frames

QUIET = {"x265-params": "log-level=none"}


def frames(found: Decoded) -> np.ndarray:
    assert found.images is not None
    return found.images.numpy()


def samples(found: Decoded) -> np.ndarray:
    assert found.audio is not None
    return found.audio["waveform"].numpy()[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    """Two seconds at 10 fps, a key frame every half second, stereo audio."""
    return write(folder / "clip.mp4", Clip(gop=5))


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("h264.mp4", Clip(options={"bf": "3"})),
        ("h264-10bit.mp4", Clip(pixels="yuv420p10le")),
        ("h264-444-odd.mkv", Clip(pixels="yuv444p", size=(97, 63))),
        ("h264-cropped.mp4", Clip(size=(50, 38))),
        ("h264-fragmented.mp4", Clip(mux={"movflags": "frag_keyframe+empty_moov+delay_moov"})),
        ("h264-no-counts.ts", Clip()),
        ("h264-raw.h264", Clip(audio=None)),
        ("hevc.mp4", Clip(codec="libx265", options=QUIET)),
        ("hevc-10bit.mp4", Clip(codec="libx265", pixels="yuv420p10le", options=QUIET)),
        ("vp9-odd.webm", Clip(codec="libvpx-vp9", audio="libopus", size=(97, 63))),
        ("av1.mp4", Clip(codec="libsvtav1")),
        ("av1-10bit.mkv", Clip(codec="libsvtav1", pixels="yuv420p10le")),
        ("mpeg4.avi", Clip(codec="mpeg4", audio="pcm_s16le")),
        ("ffv1.mkv", Clip(codec="ffv1", pixels="bgr0", audio="flac")),
    ],
)
def test_decode_returns_exact_colors(tmp_path: Path, name: str, clip: Clip) -> None:
    if clip.codec not in av.codecs_available:
        pytest.skip(f"this PyAV cannot write {clip.codec}")
    path = write(tmp_path / name, clip)

    found = decode(path)

    # FFmpeg's scaler takes an odd size for that of the chroma too, and stretches it by half a pixel.
    assert same_frames(frames(found), reference(path), *([2, 256] if "vp9-odd" in name else []))
    assert found.frame_count == clip.frames
    assert found.last_frame is not None
    assert np.array_equal(found.last_frame[0], frames(found)[-1])
    assert found.warnings == ()


def test_decode_returns_ordinary_tensors(clip: Path) -> None:
    with torch.inference_mode():
        found = decode(clip)

    for tensor in (found.images, found.last_frame, found.audio["waveform"]):
        assert tensor.dtype == torch.float32
        assert tensor.device.type == "cpu"
        assert tensor.is_contiguous()
        assert not tensor.is_inference()
        tensor.mul_(1)  # may be written to
    assert 0 <= found.images.min() < found.images.max() <= 1
    assert found.last_frame.data_ptr() != found.images[-1:].data_ptr()


@pytest.mark.parametrize("space", [1, 5], ids=["bt709", "bt601"])
@pytest.mark.parametrize("full", [1, 2], ids=["limited", "full"])
@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (200, 30, 40), (20, 180, 60), (30, 60, 220)])
def test_decode_reads_colour_tags(tmp_path: Path, space: int, full: int, colour: tuple[int, int, int]) -> None:
    colours = {"colorspace": space, "color_range": full}
    path = write(tmp_path / "flat.mp4", Clip(frames=2, colour=colour, colours=colours, options={"crf": "4"}))

    got = frames(decode(path)).mean((0, 1, 2)) * 255

    # Rounding to 8 bit YUV and back costs up to 2; swscale's own tables another 1 to 1.5.
    assert np.abs(got - colour).max() <= 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (DecodeOptions(start_time=1.0), range(10, 20)),
        (DecodeOptions(duration=0.5), range(5)),
        (DecodeOptions(start_time=0.72, duration=0.5), range(8, 13)),
        (DecodeOptions(start_time=1.9, duration=10), range(19, 20)),
        (DecodeOptions(every_nth=3), range(0, 20, 3)),
        (DecodeOptions(max_frames=4), range(4)),
        (DecodeOptions(max_frames=400), range(20)),
        (DecodeOptions(start_time=0.6, duration=1.1, every_nth=2, max_frames=3), range(6, 12, 2)),
    ],
)
@pytest.mark.parametrize(("ending", "gop"), [("mp4", 5), ("mp4", 250), ("mkv", 5), ("ts", 5)])
def test_decode_window_is_that_part_of_the_whole(
    folder: Path, options: DecodeOptions, expected: range, ending: str, gop: int
) -> None:
    path = folder / f"window-{gop}.{ending}"
    if not path.exists():
        write(path, Clip(gop=gop, options={"bf": "2"}, rate=44100))

    found = decode(path, options)

    assert same_frames(frames(found), reference(path)[list(expected)])
    assert found.frame_count == len(expected)
    assert found.fps == Fraction(10, options.every_nth)


def test_decode_windows_side_by_side_share_no_frame(clip: Path) -> None:
    parts = [frames(decode(clip, DecodeOptions(start_time=start, duration=0.7))) for start in (0, 0.7, 1.4)]

    assert same_frames(np.concatenate(parts), reference(clip))


@pytest.mark.parametrize(
    ("options", "start", "end"),
    [
        (DecodeOptions(start_time=1.0), 1.0, 2.0),
        (DecodeOptions(start_time=0.25, duration=0.5), 0.3, 0.8),
        (DecodeOptions(max_frames=4), 0.0, 0.4),
        (DecodeOptions(start_time=0.5, every_nth=2, max_frames=3), 0.5, 1.1),
    ],
)
def test_decode_cuts_audio_to_the_same_window(clip: Path, options: DecodeOptions, start: float, end: float) -> None:
    whole, part = samples(decode(clip)), samples(decode(clip, options))

    assert part.shape == (2, round((end - start) * RATE))
    # AAC adds faint noise of its own making, and a seek changes its order. One sample off would be 0.02.
    assert np.abs(part - whole[:, round(start * RATE) : round(end * RATE)]).max() < 1e-3


def test_decode_leaves_out_frames_cut_by_an_edit_list(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mp4", Clip(gop=5, audio=None, options={"bf": "0"}))
    path = tmp_path / "edited.mp4"
    with av.open(str(whole)) as source, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                shift = round(0.7 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                target.mux(packet)

    found = decode(path)

    assert same_frames(frames(found), reference(whole)[7:])
    assert same_frames(frames(decode(path, DecodeOptions(start_time=0.5))), reference(whole)[12:])
    last = decode(path, DecodeOptions(want_images=False))
    assert (last.frame_count, same_frames(last.last_frame[0], reference(whole)[-1])) == (13, True)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_decode_turns_a_rotated_video_upright(tmp_path: Path, quarters: int) -> None:
    path = write(tmp_path / "turned.mp4", Clip(frames=3))
    straight = reference(path)

    found = decode(turn(path, quarters), DecodeOptions(max_frames=2))

    expected = np.rot90(straight[:2], -quarters, axes=(1, 2))  # clockwise
    assert same_frames(frames(found), expected)
    assert same_frames(found.last_frame, expected[-1:])


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [((96, 64), 48, (32, 48)), ((64, 96), 48, (48, 32)), ((96, 64), 500, (64, 96)), ((200, 2), 50, (1, 50))],
)
def test_decode_max_side_scales_down_and_keeps_the_shape(
    tmp_path: Path, size: tuple[int, int], side: int, expected: tuple[int, int]
) -> None:
    clip = Clip(frames=2, size=size, colour=(40, 90, 160), codec="ffv1", pixels="bgr0", audio=None)
    found = decode(write(tmp_path / "sized.mkv", clip), DecodeOptions(max_side=side))

    assert found.images.shape == (2, *expected, 3)
    assert found.last_frame.shape == (1, *expected, 3)
    assert np.abs(frames(found) * 255 - (40, 90, 160)).max() <= 1


@pytest.mark.parametrize("space", [1, 5], ids=["bt709", "bt601"])
@pytest.mark.parametrize("full", [1, 2], ids=["limited", "full"])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le"])
def test_decode_max_side_keeps_the_colours(tmp_path: Path, space: int, full: int, pixels: str) -> None:
    colours = {"colorspace": space, "color_range": full}
    clip = Clip(frames=2, pixels=pixels, colour=(200, 30, 40), colours=colours, options={"crf": "4"}, audio=None)
    path = write(tmp_path / "flat.mp4", clip)

    scaled = frames(decode(path, DecodeOptions(max_side=48)))

    assert scaled.shape == (2, 32, 48, 3)
    # swscale's ways with and without scaling are a step apart; the wrong matrix or range would be 10 to 30.
    assert np.abs(scaled.mean((0, 1, 2)) - frames(decode(path)).mean((0, 1, 2))).max() * 255 <= 2


def test_decode_last_frame_alone_needs_no_other_part_of_the_file(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "damaged.mp4"
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for place, size in places[:12]:
        data[place : place + size] = bytes(size)
    path.write_bytes(data)

    found = decode(path, DecodeOptions(want_images=False))

    assert found.images is None
    assert same_frames(found.last_frame[0], reference(clip)[-1])
    assert found.frame_count == 20
    assert found.warnings == ()
    assert np.array_equal(samples(found), samples(decode(clip))), "the audio is whole all the same"


@pytest.mark.parametrize(
    "options",
    [
        DecodeOptions(),
        DecodeOptions(every_nth=3),
        DecodeOptions(start_time=0.4, duration=1),
        DecodeOptions(max_frames=7),
    ],
)
@pytest.mark.parametrize("name", ["bframes.mp4", "bframes.mkv", "raw.h264"])
def test_decode_without_images_returns_the_rest_unchanged(folder: Path, options: DecodeOptions, name: str) -> None:
    path = folder / name
    if not path.exists():
        write(path, Clip(options={"bf": "3"}, audio=None if name.endswith("h264") else "aac", fps=25))
    want = {name: getattr(options, name) for name in ("start_time", "duration", "every_nth", "max_frames")}

    whole, last = decode(path, options), decode(path, DecodeOptions(**want, want_images=False))

    assert last.images is None
    assert torch.equal(last.last_frame, whole.last_frame)
    assert (last.frame_count, last.fps) == (whole.frame_count, whole.fps)
    assert torch.equal(last.audio["waveform"], whole.audio["waveform"])


def test_decode_audio_alone_returns_no_frame(clip: Path) -> None:
    found = decode(clip, DecodeOptions(want_images=False, want_last_frame=False))

    assert (found.images, found.last_frame, found.frame_count) == (None, None, 20)
    assert samples(found).shape == (2, 2 * RATE)


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize(("layout", "channels"), [("mono", 1), ("stereo", 2), ("5.1", 6)])
def test_decode_audio_has_every_sample_and_begins_with_the_first(
    tmp_path: Path, rate: int, layout: str, channels: int
) -> None:
    path = write(tmp_path / "audio.mp4", Clip(layout=layout, rate=rate))

    found = decode(path)

    assert found.audio["sample_rate"] == rate
    assert samples(found).shape == (channels, 2 * rate)
    assert np.array_equal(samples(found), reference_audio(path)[:, : 2 * rate])
    # Laid over the tone it was made from it fits best where it is, and not one sample to either side.
    wanted = chord(channels, rate, 2)[0]
    fits = [np.dot(samples(found)[0][4000:40000], wanted[4000 + shift : 40000 + shift]) for shift in range(-40, 41)]
    assert np.argmax(fits) == 40


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le", "pcm_s32le", "pcm_u8"])
def test_decode_audio_of_any_format_becomes_floats(tmp_path: Path, codec: str) -> None:
    clip = Clip("mpeg4", size=(32, 32), frames=1, audio=codec, rate=8000, audio_seconds=0.1)
    path = write(tmp_path / "audio.mkv", clip)

    got = samples(decode(path))

    assert got.shape == (2, 800)
    assert np.abs(got - chord(2, 8000, 0.1)).max() < (0.01 if codec == "pcm_u8" else 1e-4)


@pytest.mark.parametrize("options", [DecodeOptions(), DecodeOptions(start_time=0.5, every_nth=2)])
def test_decode_without_an_audio_stream_returns_silence_of_the_same_length(
    tmp_path: Path, options: DecodeOptions
) -> None:
    found = decode(write(tmp_path / "silent.mp4", Clip(audio=None)), options)

    assert found.silent
    assert not samples(found).any()
    assert samples(found).shape[0] == 2
    assert samples(found).shape[1] / found.audio["sample_rate"] == pytest.approx(found.frame_count / found.fps)


def test_decode_leaves_out_audio_from_before_late_frames_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "late.mp4", Clip(delay=0.5))

    whole, later = decode(path), decode(path, DecodeOptions(start_time=1.0, duration=0.5))

    assert np.array_equal(samples(whole), reference_audio(path)[:, round(0.5 * RATE) : round(2.5 * RATE)])
    assert whole.warnings == ("late.mp4: its audio begins 0.50 s before the first frame; that part is left out.",)
    assert same_frames(frames(later), reference(path)[10:15])
    assert np.abs(samples(later) - samples(whole)[:, RATE : RATE + RATE // 2]).max() < 1e-3
    assert later.warnings == ()


def test_decode_of_a_truncated_file_returns_what_is_there_and_warns(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.mp4", Clip(options={"bf": "0"}, mux={"movflags": "faststart"}, audio=None))
    whole = reference(path)
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])

    found = decode(path)

    assert 5 < found.frame_count < 20
    assert same_frames(frames(found)[:-1], whole[: found.frame_count - 1])
    assert any("20 frames" in warning and "ends after frame" in warning for warning in found.warnings)
    assert any(str(found.frame_count - 1) in warning for warning in found.warnings)


def test_decode_survives_damage_in_the_middle_and_warns(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "damaged.mp4"
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][7]
    data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(data)

    found = decode(path)

    assert found.frame_count >= 15
    assert any("frame" in warning for warning in found.warnings)
    assert found.warnings[0].startswith("damaged.mp4: ")


def _text(path: Path) -> None:
    path.write_text("no video at all")


def _nothing(path: Path) -> None:
    path.write_bytes(b"")


def _no_index(path: Path) -> None:
    write(path.with_suffix(".mp4"), Clip(frames=4))
    path.write_bytes(path.with_suffix(".mp4").read_bytes()[:2000])


def _only_audio(path: Path) -> None:
    path.write_bytes(audio_mp4_bytes(0.5))


def _playlist(path: Path) -> None:
    other = write(path.with_name("other.mp4"), Clip(frames=2))
    path.write_text(f"ffconcat version 1.0\nfile {other.name}\n")


def _stream_list(path: Path) -> None:
    write(path.with_name("other.ts"), Clip(frames=2))
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n")


@pytest.mark.parametrize("make", [_text, _nothing, _no_index, _only_audio, _playlist, _stream_list])
def test_decode_refuses_what_is_not_a_video(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "file.bin"
    make(path)

    with pytest.raises(MediaError, match=r"file\.bin") as caught:
        decode(path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("name", ["gone.mp4", "http://127.0.0.1:9/x.mp4", "concat:a.mp4|b.mp4"])
def test_decode_opens_nothing_but_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(MediaError, match="no longer exists"):
        decode(name)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (DecodeOptions(start_time=-1), "start_time is -1"),
        (DecodeOptions(duration=float("nan")), "duration is nan"),
        (DecodeOptions(every_nth=0), "every_nth is 0"),
        (DecodeOptions(max_frames=-2), "max_frames is -2"),
        (DecodeOptions(max_side=-1), "max_side is -1"),
        (DecodeOptions(start_time=9), "smaller start_time"),
        (DecodeOptions(start_time=0.01, duration=0.02), "longer duration"),
    ],
)
def test_decode_refuses_an_impossible_window(clip: Path, options: DecodeOptions, named: str) -> None:
    with pytest.raises(MediaError, match=named):
        decode(clip, options)


def test_decode_refuses_what_does_not_fit_and_names_the_inputs_that_help(clip: Path) -> None:
    with pytest.raises(MemoryRefusedError) as caught:
        decode(clip, memory_limit=97 << 20)

    for word in ("21 frames of 96×64", "1 MiB", "97 MiB", "max_frames", "duration", "every_nth", "max_side"):
        assert word in str(caught.value)
    assert decode(clip, DecodeOptions(max_side=48, want_audio=False), memory_limit=97 << 20).frame_count == 20
    assert decode(clip, DecodeOptions(every_nth=10, want_audio=False), memory_limit=97 << 20).frame_count == 2
    assert decode(clip, DecodeOptions(duration=0.3), memory_limit=97 << 20).frame_count == 3


def test_decode_does_not_believe_a_header_that_counts_too_many_frames(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "lies.mp4"
    data = bytearray(clip.read_bytes())
    for kind, offset in ((b"mdhd", 16), (b"tkhd", 20), (b"mvhd", 16), (b"elst", 8)):
        for at in boxes(bytes(data), kind):
            data[at + offset : at + offset + 4] = b"\x7f\xff\xff\xff"  # a duration of years
    at = boxes(bytes(data), b"stts")[0]
    data[at + 8 : at + 12] = b"\x7f\xff\xff\xff"  # two thousand million frames
    path.write_bytes(data)

    found = decode(path, memory_limit=200 << 20)

    assert found.frame_count <= 20
    assert samples(found).shape[1] <= 3 * RATE


def test_decode_refuses_a_header_with_a_huge_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "bomb.mov", Clip(codec="qtrle", pixels="rgb24", frames=2, audio=None))
    data = bytearray(path.read_bytes())
    at = boxes(bytes(data), b"rle ")[0]
    data[at + 24 : at + 28] = (16000).to_bytes(2, "big") * 2
    path.write_bytes(data)

    with pytest.raises(MediaError, match="more than 134 million pixels"):
        decode(path)


def test_decode_is_interrupted_between_two_frames(clip: Path) -> None:
    seen: list[int] = []

    with pytest.raises(MediaCancelled):
        decode(clip, cancelled=lambda: len(seen) >= 3, on_progress=lambda done, _total: seen.append(done))
    assert seen == [1, 2, 3]


def test_decode_takes_one_file_at_a_time_so_that_no_memory_is_promised_twice(clip: Path) -> None:
    waiting = threading.Event()
    order: list[str] = []

    def second() -> None:
        # It only asks so often while it waits.
        decode(clip, cancelled=lambda: waiting.set() or False, on_progress=lambda *_: order.append("second"))

    def first(_done: int, _total: int) -> None:
        if not order:
            other.start()
            assert waiting.wait(30)
        order.append("first")

    other = threading.Thread(target=second)
    decode(clip, on_progress=first)
    other.join()

    assert order == ["first"] * 20 + ["second"] * 20


def test_decode_is_interrupted_while_it_waits_for_another_file(clip: Path) -> None:
    refused: list[bool] = []

    def wait(_done: int, _total: int) -> None:
        if not refused:
            with ThreadPoolExecutor(1) as other, pytest.raises(MediaCancelled):
                other.submit(decode, clip, cancelled=lambda: True).result(30)
            refused.append(True)

    assert decode(clip, on_progress=wait).frame_count == 20
    assert refused


def test_decode_reports_progress_to_the_end(clip: Path) -> None:
    seen: list[tuple[int, int]] = []

    decode(clip, DecodeOptions(every_nth=5), on_progress=lambda *figures: seen.append(figures))

    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_decode_reads_a_buffer_and_leaves_it_unchanged(clip: Path) -> None:
    buffer = BytesIO(clip.read_bytes())
    buffer.seek(7)

    found = decode(buffer, DecodeOptions(start_time=1))

    assert same_frames(frames(found), reference(clip)[10:])
    assert buffer.tell() == 7


def test_decode_scales_frames_that_change_their_size_to_the_first(tmp_path: Path) -> None:
    first = write(tmp_path / "a.ts", Clip(frames=5, audio=None))
    second = write(tmp_path / "b.ts", Clip(frames=5, size=(48, 32), audio=None))
    path = tmp_path / "both.ts"
    with path.open("wb") as target:
        for part in (first, second):
            shutil.copyfileobj(part.open("rb"), target)

    found = decode(path)

    assert found.images.shape[1:] == (64, 96, 3)
    assert found.frame_count > 5
    assert any("48×32" in warning for warning in found.warnings)


def test_decode_returns_the_tags_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tagged.mp4"
    with av.open(str(write(tmp_path / "plain.mp4", Clip(frames=2)))) as source, av.open(str(path), "w") as target:
        target.metadata["title"] = "a lake"
        streams = {stream: target.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream]
                target.mux(packet)

    assert decode(path).metadata["title"] == "a lake"
