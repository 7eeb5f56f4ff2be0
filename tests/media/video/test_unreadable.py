from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import av
import pytest

from nodes.core.limits import CLIP
from nodes.media.clip.encode import encode_clip
from nodes.media.decode.decode import decode
from nodes.media.files import MediaError
from tests.media.comfyui_inputs import FileVideo
from tests.media_files import Clip, write


def cut_in_first_frame(path: Path, mux: dict[str, str]) -> bytes:
    write(path, Clip(size=(240, 240), mux=mux, audio=None))
    with av.open(str(path)) as container:
        packet = next(packet for packet in container.demux(video=0) if packet.size)
        place = packet.pos or path.stat().st_size // 2
        return path.read_bytes()[: place + packet.size // 2]


def cut_in_header(path: Path) -> bytes:
    data = write(path, Clip(mux={"movflags": "faststart"}, audio=None)).read_bytes()
    return data[: data.index(b"stsd") - 4]


CASES: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    "index in front": ("mp4", lambda path: cut_in_first_frame(path, {"movflags": "faststart"}), "cut off"),
    "index behind": ("mp4", lambda path: cut_in_first_frame(path, {}), "cut off"),
    "fragments": ("mp4", lambda path: cut_in_first_frame(path, {"movflags": "frag_keyframe+empty_moov"}), "cut off"),
    "header": ("mp4", cut_in_header, "cut off"),
    "matroska": ("mkv", lambda path: cut_in_first_frame(path, {}), "cut off"),
}


@pytest.mark.parametrize("in_memory", [False, True], ids=["file", "memory"])
@pytest.mark.parametrize("case", CASES)
def test_no_frame_names_the_true_cause_in_decode_and_upload(tmp_path: Path, case: str, in_memory: bool) -> None:
    ending, make, words = CASES[case]
    data = make(tmp_path / f"whole.{ending}")
    path = tmp_path / f"cut.{ending}"
    path.write_bytes(data)
    source = BytesIO(data) if in_memory else path

    for read in (decode, lambda video: encode_clip(FileVideo(video), CLIP, directory=tmp_path)):
        with pytest.raises(MediaError, match=words) as caught:
            read(source)
        assert str(caught.value).startswith("The video" if in_memory else path.name)
        assert "H.264" not in str(caught.value)
