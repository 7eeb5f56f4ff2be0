from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from nodes.media.decode.decode import decode
from nodes.media.files import MediaError
from nodes.media.video.container import opened, video_stream
from tests.media_files import Clip, write

_DECODE_ALL = """
import sys, av
from pathlib import Path
from nodes.media.decode.decode import decode
from nodes.media.files import MediaCancelled, MediaError

av.logging.set_level(av.logging.ERROR)
for number, path in enumerate(sorted(Path(sys.argv[1]).glob("*.mp4"))):
    asked = iter(range(10**9))
    try:
        decode(path, cancelled=lambda: next(asked) > 60 + number % 29)
    except (MediaError, MediaCancelled):
        pass
print("done")
"""


def test_opened_does_not_deadlock_on_damage_while_pyav_logs(tmp_path: Path) -> None:
    clip = write(tmp_path / "whole.mp4", Clip(frames=60, gop=30, size=(640, 360), options={"bf": "2"}))
    data, chance = clip.read_bytes(), random.Random(5)
    clip.unlink()
    for number in range(200):
        damaged = bytearray(data)
        for _ in range(40):
            damaged[chance.randrange(48, len(data) - 3000)] = chance.randrange(256)
        (tmp_path / f"{number:03}.mp4").write_bytes(damaged)

    command = [sys.executable, "-c", _DECODE_ALL, str(tmp_path)]
    root = Path(__file__).parents[3]
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace", cwd=root, timeout=60, check=True)

    assert ended.stdout.splitlines()[-1] == "done"


def test_opened_refuses_a_program_stream_that_would_crash_ffmpeg_7(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.mpg", Clip(codec="mpeg2video", fps=25, audio="mp2"))
    monkeypatch.setattr(av, "library_versions", {**av.library_versions, "libavformat": (61, 7, 100)})
    with pytest.raises(MediaError, match=r"a\.mpg is an MPEG program stream.*FFmpeg 8"), opened(path):
        pass


def test_video_stream_reads_an_animated_webp_or_says_what_could(tmp_path: Path) -> None:
    path = tmp_path / "loop.webp"
    frames = [Image.new("RGB", (64, 48), (40 * index, 0, 0)) for index in range(4)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    if av.library_versions["libavformat"] < (63, 0, 0):
        with opened(path) as container, pytest.raises(MediaError, match=r"animated WebP.*Update PyAV"):
            video_stream(container, path.name)
    else:
        assert decode(path).frame_count == 4


def test_audio_at_an_impossible_rate_is_not_read(tmp_path: Path) -> None:
    data = write(tmp_path / "a.avi", Clip(audio="pcm_s16le", rate=8000, size=(256, 240), fps=5, frames=11)).read_bytes()
    rate = data.index((8000).to_bytes(4, "little") + (32000).to_bytes(4, "little"))
    path = tmp_path / "damaged.avi"
    path.write_bytes(data[:rate] + (1).to_bytes(4, "little") + data[rate + 4 :])

    found = decode(path)

    assert found.frame_count == 11
    assert found.silent
    assert any("1 samples per second" in text for text in found.warnings)


def test_audio_stream_is_the_default_track_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        tracks = [container.add_stream("pcm_s16le", rate=48000, layout="mono") for _ in range(2)]
        tracks[0].disposition, tracks[1].disposition = 0, Disposition.default.value
        for _ in range(10):
            container.mux(video.encode(av.VideoFrame(96, 64, "yuv420p")))
        container.mux(video.encode())
        for track, level in zip(tracks, (0, 8192), strict=True):
            frame = av.AudioFrame.from_ndarray(np.full((1, 48000), level, np.int16), "s16", "mono")
            frame.rate = 48000
            container.mux(track.encode(frame))

    audio = decode(path).audio

    assert audio is not None
    assert float(audio["waveform"].min()) == 0.25
