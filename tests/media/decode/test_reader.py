"""Files that are cut, joined, damaged, or tell their times badly: which frames and samples come out."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from nodes.media.decode.decode import DecodeOptions, decode
from nodes.media.video import video_input
from nodes.media.video.packets import PacketError
from tests.media_files import RATE, Clip, moving_gradient, write
from tests.media_reading import reference, reference_audio

FPS = 10
OPEN_GOP = Clip(
    codec="libx265",
    frames=40,
    gop=10,
    options={"x265-params": "log-level=none:open-gop=1:bframes=3:keyint=10:min-keyint=10:scenecut=0"},
)
#: Frames that are shown before a key frame and yet depend on nothing before it.
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
PARTS = [
    DecodeOptions(max_frames=1),
    DecodeOptions(max_frames=3),
    DecodeOptions(max_frames=4, every_nth=3),
    DecodeOptions(start_time=0.35, max_frames=5),
    DecodeOptions(duration=0.4),
    DecodeOptions(start_time=0.5),
]


def copied(path: Path, source: Path, *, skipped_keys: int = 0, options: dict[str, str] | None = None) -> Path:
    """The same packets in another file, without those before a later key frame."""
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
    """Indices of the frames, where they follow each other at FPS."""
    first = int(np.ceil(options.start_time * FPS - 1e-6))
    stop = min(whole, round((options.start_time + options.duration) * FPS)) if options.duration else whole
    chosen = list(range(first, stop, options.every_nth))
    return chosen[: options.max_frames] if options.max_frames else chosen


def check(path: Path, options: DecodeOptions, wanted: np.ndarray) -> None:
    """These frames, and the same without images: the number, the last of them, the sound."""
    want = {name: getattr(options, name) for name in ("start_time", "duration", "every_nth", "max_frames")}

    found, alone = decode(path, options), decode(path, DecodeOptions(**want, want_images=False))

    assert np.array_equal(found.images.numpy(), wanted)
    assert alone.frame_count == found.frame_count == len(wanted)
    assert torch.equal(alone.last_frame, found.last_frame)
    if not found.silent:
        assert torch.equal(alone.audio["waveform"], found.audio["waveform"])
    assert found.warnings == alone.warnings == ()


@pytest.mark.parametrize("options", PARTS)
@pytest.mark.parametrize("name", ["hevc.mkv", "hevc.ts", "hevc.mp4", "mpeg2.mkv", "radl.mkv"])
def test_what_was_cut_from_a_longer_file_begins_with_the_first_frame_that_can_be_decoded(
    tmp_path: Path, name: str, options: DecodeOptions
) -> None:
    mpeg2 = Clip(codec="mpeg2video", frames=40, gop=10, options={"bf": "2"}, fps=FPS, audio=None)
    clip = {"hevc": OPEN_GOP, "mpeg2": mpeg2, "radl": LEADING}[path_kind := Path(name).stem]
    source = write(tmp_path / f"source{Path(name).suffix}", clip)
    fragments = {"movflags": "frag_keyframe+empty_moov+delay_moov"} if name.endswith("mp4") else None
    path = copied(tmp_path / name, source, skipped_keys=1, options=fragments)
    shown = reference(path)
    with av.open(str(path)) as container:
        packets = sum(bool(packet.size) for packet in container.demux(video=0))
    assert (len(shown) == packets) == (path_kind == "radl"), "else the clip shows nothing"

    check(path, options, shown[expected(len(shown), options)])


@pytest.mark.parametrize("options", PARTS)
def test_files_that_were_joined_go_on_where_the_clock_is_set_back(tmp_path: Path, options: DecodeOptions) -> None:
    single = write(tmp_path / "single.ts", Clip(frames=30, options={"bf": "2"}, audio=None))
    path = tmp_path / "joined.ts"
    path.write_bytes(single.read_bytes() * 2)
    shown = reference(path)
    assert len(shown) == 60

    check(path, options, shown[expected(60, options)])


@pytest.mark.parametrize("options", [DecodeOptions(), *PARTS, DecodeOptions(max_frames=17)])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_avi_that_tells_times_in_the_order_of_decoding_is_counted(
    tmp_path: Path, codec: str, options: DecodeOptions
) -> None:
    path = write(tmp_path / "b.avi", Clip(codec=codec, frames=40, gop=10, options={"bf": "2"}, audio="pcm_s16le"))
    shown = reference(path)

    check(path, options, shown[expected(len(shown), options)])


def test_avi_that_shows_frames_again_is_not_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "rare.avi", Clip(times=tuple(np.cumsum([40, 200, 40, 400] * 5).tolist()), audio=None))
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames > 20, "else the clip shows nothing"

    assert decode(path).warnings == ()


@pytest.mark.parametrize("frames", [7, 20, 30])
@pytest.mark.parametrize(("codec", "name"), [("libsvtav1", "a.mp4"), ("libsvtav1", "a.webm"), ("libvpx-vp9", "v.webm")])
def test_the_last_frame_alone_is_the_right_one(tmp_path: Path, codec: str, name: str, frames: int) -> None:
    path = write(tmp_path / name, Clip(codec=codec, frames=30, audio=None))
    shown = reference(path)

    found = decode(path, DecodeOptions(max_frames=frames, want_images=False))

    assert np.array_equal(found.last_frame[0].numpy(), shown[frames - 1])


def test_damage_costs_one_frame_and_is_named_by_its_place_in_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", Clip(gop=5, audio=None))
    shown, data = reference(path), bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        place, size, lost = next((p.pos, p.size, p.pts) for i, p in enumerate(container.demux(video=0)) if i == 17)
        lost //= round(1 / (FPS * container.streams.video[0].time_base))
    data[place : place + size] = bytes(size)
    path.write_bytes(data)

    whole, part = decode(path), decode(path, DecodeOptions(start_time=1.0))

    assert np.array_equal(whole.images.numpy(), np.delete(shown, lost, axis=0))
    assert np.array_equal(part.images.numpy(), whole.images.numpy()[10:])
    assert len(whole.warnings) == 1
    assert "after frame 14 something could not be decoded" in whole.warnings[0]
    assert part.warnings == whole.warnings


def test_a_last_frame_that_is_damaged_is_the_same_as_with_all_images(tmp_path: Path) -> None:
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
def test_a_webm_that_is_cut_off_says_after_which_frame(tmp_path: Path, audio: str | None) -> None:
    whole = write(tmp_path / "whole.webm", Clip(codec="libvpx-vp9", frames=40, audio=audio))
    path = tmp_path / "cut.webm"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])

    found = decode(path)

    assert decode(whole).warnings == ()
    assert found.frame_count < 35
    assert any(f"cut off: it ends after frame {found.frame_count - 1}." in warning for warning in found.warnings)


def test_a_last_frame_that_is_shown_for_long_is_no_missing_end(tmp_path: Path) -> None:
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

    assert decode(path).warnings == ()


def test_damage_in_the_sound_alone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "clip.mp4", Clip())
    whole, real = decode(path), video_input.packets_of

    def damaged(container, streams):  # type: ignore[no-untyped-def]
        yield from list(real(container, streams))[:10]
        raise PacketError("Invalid data found")

    monkeypatch.setattr(video_input, "packets_of", damaged)
    found = decode(path, DecodeOptions(want_images=False, want_last_frame=False))

    assert found.warnings == ("clip.mp4: reading stopped in the audio: Invalid data found.",)
    sound = found.audio["waveform"]
    assert torch.equal(sound, whole.audio["waveform"][..., : sound.shape[-1]])


@pytest.mark.parametrize("audio", ["pcm_s16le", "aac", "flac"])
def test_a_part_of_a_matroska_file_has_the_very_samples(tmp_path: Path, audio: str) -> None:
    path = write(tmp_path / "clip.mkv", Clip(audio=audio, rate=44100, gop=5))
    whole = decode(path).audio["waveform"]
    with av.open(str(path)) as container:  # FFmpeg 7 gives out the encoder's priming too, from before the pictures
        priming = max(0, round(-next(container.decode(audio=0)).time * 44100))

    found = decode(path, DecodeOptions(start_time=1.03, duration=0.5)).audio["waveform"]

    first = round(1.03 * 44100) + priming
    assert torch.equal(found, whole[..., first : first + round(0.5 * 44100)])


def test_a_transport_stream_keeps_its_sound_to_the_end(tmp_path: Path) -> None:
    source = write(tmp_path / "clip.mp4", Clip(options={"bf": "2"}))
    # As the ffmpeg program has it: many frames of sound in one packet, of which only the first has a time.
    path = copied(tmp_path / "copy.ts", source, options={"max_delay": "700000"})

    assert np.array_equal(decode(path).audio["waveform"][0].numpy(), reference_audio(path))


def test_fragments_without_an_edit_list_have_no_hole_between_priming_and_sound(tmp_path: Path) -> None:
    source = write(tmp_path / "clip.mp4", Clip(fps=30, frames=60, options={"bf": "2"}))
    path = copied(tmp_path / "copy.mp4", source, options={"movflags": "frag_keyframe+empty_moov"})
    samples = reference_audio(path)
    with av.open(str(path)) as container:
        priming, first = (frame.pts for frame, _ in zip(container.decode(audio=0), range(2), strict=False))
        pictures = container.streams.video[0]
        late = first - round(pictures.start_time * pictures.time_base * RATE)
    assert first - priming > 1024 + late > 1024, "else the clip shows nothing"

    found = decode(path).audio["waveform"][0].numpy()

    wanted = np.concatenate([samples[:, :1024], np.zeros((2, late), np.float32), samples[:, 1024:]], axis=1)
    assert np.array_equal(found, wanted[:, : found.shape[1]])
    assert wanted.shape[1] - found.shape[1] < 1024, "the encoder's padding at the end"


def test_a_part_that_goes_beyond_the_end_has_no_padding(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", Clip())

    found = decode(path, DecodeOptions(start_time=1, duration=5))

    assert found.audio["waveform"].shape == (1, 2, RATE)


def test_7_1_sound_comes_out_whole(tmp_path: Path) -> None:
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
def test_a_window_outside_of_a_trimmed_video_is_told_in_its_own_times(
    tmp_path: Path, trim: tuple[float, float], asked: float, words: str
) -> None:
    path = write(tmp_path / "clip.mp4", Clip())

    with pytest.raises(ValueError, match=words):
        decode(path, DecodeOptions(start_time=asked).inside(*trim))
