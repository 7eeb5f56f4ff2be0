"""Files of every kind, also cut, joined, damaged or with odd times: which frames and samples are read."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from nodes.core import limits
from nodes.media.clip.encode import encode_clip
from nodes.media.clip.file_clip import FileClip
from nodes.media.clip.inspect import inspect_file
from nodes.media.decode.decode import DecodeOptions, decode
from nodes.media.files import MediaError
from nodes.media.video import video_input
from nodes.media.video.container import video_stream
from nodes.media.video.timeline import PacketError
from nodes.media.video.video_input import open_video, threads_for
from tests.media.comfyui_inputs import FileVideo
from tests.media_files import (
    FILM_ORDER,
    RATE,
    Clip,
    chord,
    moving_gradient,
    set_channel_layout,
    without_decoder,
    write,
)
from tests.media_reading import audio_of, exact_rgb, reference, reference_audio, same_frames

QUIET = {"x265-params": "log-level=none"}
OPEN_GOP_OPTIONS = {"x265-params": "log-level=none:open-gop=1:bframes=3:keyint=10:min-keyint=10:scenecut=0"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+delay_moov"}
FPS = 10
OPEN_GOP = Clip(
    codec="libx265",
    frames=40,
    gop=10,
    options=OPEN_GOP_OPTIONS,
)
LEADING = Clip(
    codec="libx265",
    frames=40,
    gop=10,
    options={
        "x265-params": "log-level=none:radl=2:keyint=10:min-keyint=10:scenecut=0:open-gop=0:bframes=3:b-adapt=0:"
        "pools=1:frame-threads=1"
    },
    audio=None,
)
"""Its frames that are shown before a key frame depend on nothing before it."""
PARTS = [
    DecodeOptions(max_frames=1),
    DecodeOptions(max_frames=3),
    DecodeOptions(max_frames=4, every_nth=3),
    DecodeOptions(start_time=0.35, max_frames=5),
    DecodeOptions(duration=0.4),
    DecodeOptions(start_time=0.5),
]


def copied(path: Path, source: Path, *, skipped_keys: int = 0, options: dict[str, str] | None = None) -> Path:
    """Write the same packets to another file, without those before a later key frame."""
    with av.open(str(source)) as given, av.open(str(path), "w", options=options or {}) as made:
        streams = {stream.index: made.add_stream_from_template(stream) for stream in given.streams}
        keys = begins = 0
        for packet in given.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "video" and keys <= skipped_keys:
                keys += packet.is_keyframe
                begins = packet.pts * packet.time_base
            if keys > skipped_keys and (packet.stream.type == "video" or packet.pts * packet.time_base >= begins):
                packet.stream = streams[packet.stream.index]
                made.mux(packet)
    return path


def expected(whole: int, options: DecodeOptions) -> list[int]:
    """Return the indices of the frames of a window."""
    first = int(np.ceil(options.start_time * FPS - 1e-6))
    stop = min(whole, round((options.start_time + options.duration) * FPS)) if options.duration else whole
    chosen = list(range(first, stop, options.every_nth))
    return chosen[: options.max_frames] if options.max_frames else chosen


def check(path: Path, options: DecodeOptions, wanted: np.ndarray) -> None:
    """Check that decoding returns these frames, and without images the same number, last frame and audio."""
    want = {name: getattr(options, name) for name in ("start_time", "duration", "every_nth", "max_frames")}

    found, alone = decode(path, options), decode(path, DecodeOptions(**want, want_images=False))

    assert same_frames(found.images.numpy(), wanted)
    assert alone.frame_count == found.frame_count == len(wanted)
    assert torch.equal(alone.last_frame, found.last_frame)
    if not found.silent:
        assert torch.equal(alone.audio["waveform"], found.audio["waveform"])
    assert found.warnings == alone.warnings == ()


WHOLE = {
    "h264.mp4": Clip(options={"bf": "3"}),
    "h264.mov": Clip(),
    "h264-fragmented.mp4": Clip(mux=FRAGMENTS),
    "h264-bframes.mkv": Clip(options={"bf": "3"}),
    "h264.ts": Clip(gop=5, options={"bf": "2"}),
    "h264-raw.h264": Clip(audio=None, fps=25),
    "hevc-10bit.mp4": Clip(codec="libx265", pixels="yuv420p10le", options=QUIET),
    "hevc.ts": Clip(codec="libx265", options=OPEN_GOP_OPTIONS),
    "vp9.webm": Clip(codec="libvpx-vp9", audio="libopus"),
    "av1.mkv": Clip(codec="libsvtav1"),
    "mpeg4.avi": Clip(codec="mpeg4", audio="pcm_s16le"),
    "mpeg4-bframes.avi": Clip(codec="mpeg4", frames=40, gop=10, options={"bf": "2"}, audio="pcm_s16le"),
    "h264-bframes.avi": Clip(frames=40, gop=10, options={"bf": "2"}, audio="pcm_s16le"),
    "mpeg2.mpg": Clip(codec="mpeg2video", fps=25, options={"bf": "2"}, audio="mp2"),
    "ffv1.mkv": Clip(codec="ffv1", pixels="bgr0", audio="flac"),
    "late.mkv": Clip(delay=0.5),
    "variable-rate.mp4": Clip(times=tuple(np.cumsum([40, 100, 33, 200, 40] * 4).tolist())),
    "variable-rate.mkv": Clip(times=tuple(np.cumsum([40, 100, 33, 200, 40] * 4).tolist())),
}


def joined(path: Path) -> Path:
    return spoiled(path, Clip(frames=30, options={"bf": "2"}), lambda data: data * 2)


def spoiled(path: Path, clip: Clip, change: Callable[[bytearray], bytes]) -> Path:
    path.write_bytes(change(bytearray(write(path, clip).read_bytes())))
    return path


def zeroed(path: Path, clip: Clip, first: int, end: int) -> Path:
    """Return a file with zeros in place of some of its video packets."""
    write(path, clip)
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]

    def change(data: bytearray) -> bytes:
        for place, size in places[first:end]:
            data[place : place + size] = bytes(size)
        return bytes(data)

    path.write_bytes(change(bytearray(path.read_bytes())))
    return path


def with_a_late_frame(path: Path) -> Path:
    """Return a file in which one frame in the middle is shown 30 s too late."""
    source = write(path.with_name(f"source-{path.name}"), Clip(frames=40, audio=None, options={"bf": "0"}))
    with av.open(str(source)) as given, av.open(str(path), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for index, packet in enumerate(packet for packet in given.demux(video=0) if packet.size):
            if index == 15 and packet.pts is not None:
                packet.pts += round(30 / packet.time_base)
            packet.stream = stream
            made.mux(packet)
    return path


def without_first_group(path: Path, clip: Clip) -> Path:
    """Return a file that was cut from a longer one at its second key frame."""
    source = write(path.with_name(f"source-{path.name}"), clip)
    return copied(path, source, skipped_keys=1, options=FRAGMENTS if path.suffix == ".mp4" else None)


MPEG2 = Clip(codec="mpeg2video", frames=40, gop=10, options={"bf": "2"}, audio=None)
SHORT = Clip(gop=5, frames=40, audio=None)
MADE: dict[str, Callable[[Path], Path]] = {
    "joined.ts": joined,
    "joined-silent.ts": lambda path: spoiled(
        path, Clip(frames=30, audio=None, options={"bf": "2"}), lambda data: data * 2
    ),
    "joined-thrice.ts": lambda path: spoiled(path, Clip(frames=20, gop=5), lambda data: data * 3),
    "cut-open-gop.mkv": lambda path: without_first_group(path, OPEN_GOP),
    "cut-open-gop.ts": lambda path: without_first_group(path, OPEN_GOP),
    "cut-open-gop.mp4": lambda path: without_first_group(path, OPEN_GOP),
    "cut-mpeg2.mkv": lambda path: without_first_group(path, MPEG2),
    "truncated.mkv": lambda path: spoiled(path, SHORT, lambda data: data[: len(data) * 6 // 10]),
    "truncated.ts": lambda path: spoiled(path, SHORT, lambda data: data[: len(data) * 6 // 10]),
    "truncated.webm": lambda path: spoiled(
        path, Clip(codec="libvpx-vp9", frames=40, audio="libopus"), lambda data: data[: len(data) * 6 // 10]
    ),
    "damaged.mp4": lambda path: zeroed(path, SHORT, 17, 18),
    "damaged.mkv": lambda path: zeroed(path, SHORT, 17, 18),
    "damaged-start.mp4": lambda path: zeroed(path, SHORT, 0, 5),
}


@pytest.mark.parametrize("name", [*WHOLE, *MADE])
def test_decode_and_upload_see_the_same_frames(tmp_path: Path, name: str) -> None:
    if name in WHOLE and WHOLE[name].codec not in av.codecs_available:
        pytest.skip(f"this PyAV cannot write {WHOLE[name].codec}")
    if name.endswith(".mpg") and av.library_versions["libavformat"] < (62, 0, 0):
        pytest.skip("this PyAV crashes on program streams, so they are refused")
    path = write(tmp_path / name, WHOLE[name]) if name in WHOLE else MADE[name](tmp_path / name)

    found = decode(path)
    facts = inspect_file(path, (0.0, 0.0))
    clip = FileClip(facts, "", 1, 10_000)
    given = list(clip.read(None))
    # Decode does not replace lost frames of a constant rate, Upload repeats the one before: the same object.
    shown = [next(same) for _, same in groupby(given, id)] if facts.clock.constant else given
    shown = [exact_rgb(frame) for frame in shown]

    assert len(given) == clip.frames
    wanted = found.images.numpy()
    assert len(shown) == len(wanted)
    assert same_frames(np.stack(shown), wanted)


def test_decode_and_upload_of_joined_ts_give_every_frame(tmp_path: Path) -> None:
    path = joined(tmp_path / "joined.ts")

    clip = FileClip(inspect_file(path, (0.0, 0.0)), "", 1, 10_000)

    assert decode(path).frame_count == 60
    assert clip.frames == 60
    assert len(list(clip.read(None))) == 60


def test_upload_refuses_a_damaged_end_of_which_decode_returns_what_is_there(tmp_path: Path) -> None:
    path = zeroed(tmp_path / "damaged.mp4", Clip(audio=None, options={"bf": "2"}), 14, 20)

    clip = FileClip(inspect_file(path, (0.0, 0.0)), "", 1, 10_000)

    assert 0 < decode(path).frame_count < 20
    with pytest.raises(MediaError, match="the clip cannot be decoded"):
        list(clip.read(None))


def test_every_frame_before_the_cut_of_a_cut_off_file_is_decoded(tmp_path: Path) -> None:
    clip = Clip(audio=None, mux={"movflags": "faststart"})
    path = spoiled(tmp_path / "cut.mp4", clip, lambda data: data[: -len(data) // 3])

    with open_video(str(path)) as video:
        times = [float(time) for _, time in video.read() if time is not None]
        assert times[:5] == [0, 0.1, 0.2, 0.3, 0.4]  # FFmpeg may make something of the one that is cut, too
        assert video.cut_off_notes()


@pytest.mark.parametrize("name", ["late.mp4", "late.ts", "damaged.avi"])
def test_frames_are_decoded_once_if_the_end_is_whole(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[object] = []
    monkeypatch.setattr(video_input, "video_stream", lambda *given: passes.append(given) or video_stream(*given))
    if name == "damaged.avi":
        path, frames = zeroed(tmp_path / name, SHORT, 17, 18), 39
    else:
        path, frames = with_a_late_frame(tmp_path / name), 40

    with open_video(str(path)) as video:
        passes.clear()
        times = [time for _, time in video.read() if time is not None]

    assert len(times) == len(set(times)) == frames
    assert len(passes) == 1


@pytest.mark.parametrize("options", PARTS)
@pytest.mark.parametrize("name", ["hevc.mkv", "hevc.ts", "hevc.mp4", "mpeg2.mkv", "radl.mkv"])
def test_decode_begins_a_file_cut_from_a_longer_one_with_the_first_frame_that_can_be_decoded(
    tmp_path: Path, name: str, options: DecodeOptions
) -> None:
    mpeg2 = Clip(codec="mpeg2video", frames=40, gop=10, options={"bf": "2"}, fps=FPS, audio=None)
    clip = {"hevc": OPEN_GOP, "mpeg2": mpeg2, "radl": LEADING}[path_kind := Path(name).stem]
    path = without_first_group(tmp_path / name, clip)
    shown = reference(path)
    with av.open(str(path)) as container:
        packets = sum(bool(packet.size) for packet in container.demux(video=0))
    assert (len(shown) == packets) == (path_kind == "radl"), "else the clip shows nothing"

    check(path, options, shown[expected(len(shown), options)])


@pytest.mark.parametrize("options", PARTS)
def test_decode_joined_ts_gives_every_frame(tmp_path: Path, options: DecodeOptions) -> None:
    path = spoiled(tmp_path / "joined.ts", Clip(frames=30, options={"bf": "2"}, audio=None), lambda data: data * 2)
    shown = reference(path)
    assert len(shown) == 60

    check(path, options, shown[expected(60, options)])


@pytest.mark.parametrize("options", [DecodeOptions(), *PARTS, DecodeOptions(max_frames=17)])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_decode_counts_frames_of_an_avi_with_times_in_decoding_order(
    tmp_path: Path, codec: str, options: DecodeOptions
) -> None:
    path = write(tmp_path / "b.avi", Clip(codec=codec, frames=40, gop=10, options={"bf": "2"}, audio="pcm_s16le"))
    shown = reference(path)

    check(path, options, shown[expected(len(shown), options)])


def test_decode_avi_that_repeats_frames_is_not_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "rare.avi", Clip(times=tuple(np.cumsum([40, 200, 40, 400] * 5).tolist()), audio=None))
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames > 20, "else the clip shows nothing"

    assert not any("cut off" in warning for warning in decode(path).warnings)


@pytest.mark.parametrize("frames", [7, 20, 30])
@pytest.mark.parametrize(("codec", "name"), [("libsvtav1", "a.mp4"), ("libsvtav1", "a.webm"), ("libvpx-vp9", "v.webm")])
def test_decode_last_frame_alone_is_the_right_one(tmp_path: Path, codec: str, name: str, frames: int) -> None:
    path = write(tmp_path / name, Clip(codec=codec, frames=30, audio=None))
    shown = reference(path)

    found = decode(path, DecodeOptions(max_frames=frames, want_images=False))

    assert same_frames(found.last_frame[0].numpy(), shown[frames - 1])


def test_decode_loses_one_frame_to_damage_and_names_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", Clip(gop=5, audio=None))
    shown, data = reference(path), bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        place, size, lost = next((p.pos, p.size, p.pts) for i, p in enumerate(container.demux(video=0)) if i == 17)
        lost //= round(1 / (FPS * container.streams.video[0].time_base))
    data[place : place + size] = bytes(size)
    path.write_bytes(data)

    whole, part = decode(path), decode(path, DecodeOptions(start_time=1.0))

    assert same_frames(whole.images.numpy(), np.delete(shown, lost, axis=0))
    assert np.array_equal(part.images.numpy(), whole.images.numpy()[10:])
    assert len(whole.warnings) == 1
    assert "after frame 14 something could not be decoded" in whole.warnings[0]
    assert part.warnings == whole.warnings


def test_decode_damaged_last_frame_is_the_same_as_with_all_images(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", Clip(audio=None, options={"bf": "2"}))
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for place, size in places[-3:]:
        data[place : place + size] = bytes(size)
    path.write_bytes(data)

    whole, alone = decode(path), decode(path, DecodeOptions(want_images=False))

    assert torch.equal(whole.last_frame, alone.last_frame)


@pytest.mark.parametrize("audio", ["libopus", None])
def test_decode_truncated_webm_says_after_which_frame(tmp_path: Path, audio: str | None) -> None:
    whole = write(tmp_path / "whole.webm", Clip(codec="libvpx-vp9", frames=40, audio=audio))
    path = tmp_path / "cut.webm"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])

    found = decode(path)

    assert decode(whole).warnings == ()
    assert found.frame_count < 35
    assert any(f"cut off: it ends after frame {found.frame_count - 1}." in warning for warning in found.warnings)


def test_decode_last_frame_that_is_shown_for_long_is_not_a_missing_end(tmp_path: Path) -> None:
    path = tmp_path / "slides.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moving_gradient(Clip(), index), format="rgb24")))
        rest = stream.encode()
        rest[-1].duration = round(3 / rest[-1].time_base)
        container.mux(rest)
    with av.open(str(path)) as container:
        assert container.duration > 3_000_000, "else the clip shows nothing"

    found = decode(path)

    assert not any("cut off" in warning for warning in found.warnings)
    assert (found.frame_count, found.fps) == (33, 10)
    assert same_frames(found.images.numpy(), reference(path)[[0, 1, 2, 3] + [4] * 29])


def test_decode_warns_of_damage_in_the_audio_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "clip.mp4", Clip())
    whole, real = decode(path), video_input.packets_of

    def damaged(container, streams):  # type: ignore[no-untyped-def]
        yield from list(real(container, streams))[:10]
        raise PacketError("Invalid data found")

    monkeypatch.setattr(video_input, "packets_of", damaged)
    found = decode(path, DecodeOptions(want_images=False, want_last_frame=False))

    assert found.warnings == ("clip.mp4: reading stopped in the audio: Invalid data found.",)
    audio = found.audio["waveform"]
    assert torch.equal(audio, whole.audio["waveform"][..., : audio.shape[-1]])


@pytest.mark.parametrize("audio", ["pcm_s16le", "aac", "flac"])
def test_decode_part_of_a_matroska_file_has_exactly_the_samples_of_the_whole(tmp_path: Path, audio: str) -> None:
    path = write(tmp_path / "clip.mkv", Clip(audio=audio, rate=44100, gop=5))
    whole = decode(path).audio["waveform"]

    found = decode(path, DecodeOptions(start_time=1.03, duration=0.5)).audio["waveform"]

    first = round(1.1 * 44100)  # of the first frame from 1.03 s on
    assert torch.equal(found, whole[..., first : first + round(0.5 * 44100)])


def test_decode_transport_stream_keeps_its_audio_to_the_end(tmp_path: Path) -> None:
    source = write(tmp_path / "clip.mp4", Clip(options={"bf": "2"}))
    # As the ffmpeg program has it: many audio frames in one packet, of which only the first has a time.
    path = copied(tmp_path / "copy.ts", source, options={"max_delay": "700000"})

    assert np.array_equal(decode(path).audio["waveform"][0].numpy(), reference_audio(path))


def test_decode_fragments_without_an_edit_list_have_no_priming_before_the_audio(tmp_path: Path) -> None:
    source = write(tmp_path / "clip.mp4", Clip(fps=30, frames=60, options={"bf": "2"}))
    path = copied(tmp_path / "copy.mp4", source, options={"movflags": "frag_keyframe+empty_moov"})
    samples = reference_audio(path)
    with av.open(str(path)) as container:
        priming, first = (frame.pts for frame, _ in zip(container.decode(audio=0), range(2), strict=False))
        video = container.streams.video[0]
        late = first - round(video.start_time * video.time_base * RATE)
    assert first - priming > 1024 + late > 1024, "else the clip shows nothing"

    found = decode(path).audio["waveform"][0].numpy()

    wanted = np.concatenate([np.zeros((2, late), np.float32), samples[:, 1024:]], axis=1)
    assert np.array_equal(found, wanted[:, : found.shape[1]])
    assert wanted.shape[1] - found.shape[1] < 1024, "the encoder's padding at the end"


def test_decode_part_that_goes_beyond_the_end_has_no_padding(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", Clip())

    found = decode(path, DecodeOptions(start_time=1, duration=5))

    assert found.audio["waveform"].shape == (1, 2, RATE)


def test_decode_returns_all_channels_of_7_1_audio(tmp_path: Path) -> None:
    found = decode(write(tmp_path / "clip.mp4", Clip(layout="7.1"))).audio["waveform"][0].numpy()

    assert found.shape == (8, 2 * RATE)
    heard = np.abs(np.fft.rfft(found[:, :RATE])).argmax(1)
    low = 3  # an encoder leaves nothing of a tone there
    assert np.delete(heard, low).tolist() == [330 + 110 * index for index in range(8) if index != low]


@pytest.mark.parametrize(
    ("trim", "asked", "words"),
    [
        ((1.0, 0.0), 1.5, "no frame between start_time 1.5 s and the end of duration: its last frame is at 0.900 s"),
        ((1.0, 0.5), 1.5, "start_time is 1.5 s, but the video is trimmed to 0.5 s: nothing is left"),
    ],
)
def test_decode_refuses_a_window_outside_of_a_trimmed_video_in_its_own_times(
    tmp_path: Path, trim: tuple[float, float], asked: float, words: str
) -> None:
    path = write(tmp_path / "clip.mp4", Clip())

    with pytest.raises(ValueError, match=words):
        decode(path, DecodeOptions(start_time=asked).inside(*trim))


@pytest.mark.parametrize(
    ("cores", "pixels", "expected"),
    [
        (1, 1280 * 720, ("AUTO", 3)),
        (2, 1920 * 1080, ("AUTO", 4)),
        (64, 1280 * 720, ("AUTO", 8)),
        (64, 1920 * 1080, ("AUTO", 4)),
        (64, 2560 * 1440, ("AUTO", 2)),
        (4, 0, ("AUTO", 6)),
        (4, 3840 * 2160, ("SLICE", 4)),
        (64, 3840 * 2160, ("SLICE", 8)),
        (64, 16384 * 8192, ("SLICE", 8)),
    ],
)
def test_threads_for_are_limited_by_memory_and_share_large_frames(
    monkeypatch: pytest.MonkeyPatch, cores: int, pixels: int, expected: tuple[str, int]
) -> None:
    monkeypatch.setattr(video_input, "cores", lambda: cores)
    assert threads_for(pixels) == expected


def one_loud_channel(channels: int, rate: int, seconds: float) -> np.ndarray:
    """Return a chord of which only the third channel is left: front right in the film order."""
    samples = chord(channels, rate, seconds)
    samples[np.arange(channels) != 2] = 0
    return samples


def test_read_film_order_gives_the_usual_order_in_decode_and_upload(tmp_path: Path) -> None:
    clip = Clip(size=(240, 240), frames=40, audio="pcm_s16le", layout="5.1(side)", signal=one_loud_channel)
    path = set_channel_layout(write(tmp_path / "film.mov", clip), FILM_ORDER)

    for options in (DecodeOptions(), DecodeOptions(start_time=1.5, duration=1.0)):
        found = decode(path, options).audio
        assert found is not None
        loudest = found["waveform"][0].abs().amax(dim=1)
        assert [round(float(value), 1) for value in loudest] == [0, 0.5, 0, 0, 0, 0]

    sent = encode_clip(FileVideo(str(path), (0.5, 3.0)), limits.CLIP, directory=tmp_path).path
    left, right = np.abs(audio_of(sent)[0]).max(axis=1)
    assert left < 0.01 < 0.1 < right


def test_read_a_track_without_a_decoder_leaves_the_frames(tmp_path: Path) -> None:
    path = without_decoder(write(tmp_path / "phone.mp4", Clip(size=(240, 240), frames=30)))
    found = decode(path)
    assert found.frame_count == 30
    assert found.silent
    encode_clip(FileVideo(str(path), (0.5, 2.5)), limits.CLIP, directory=tmp_path)
