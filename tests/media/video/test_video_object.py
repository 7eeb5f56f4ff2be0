"""What other packs pass as a VIDEO."""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nodes.core import limits
from nodes.media.clip.encode import encode_clip
from nodes.media.files import MediaError
from nodes.media.video.video_object import file_of, tensors_of
from tests.media.comfyui_inputs import VideoFromComponents
from tests.media_files import write_clip
from tests.media_reading import reread


class SavesItself:
    """A VIDEO of another pack that has nothing but these two methods."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get_dimensions(self) -> tuple[int, int]:
        return 320, 240

    def save_to(self, path: str) -> None:
        shutil.copy(self._path, path)


def test_file_of_reads_a_video_that_can_only_save_itself(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    video = SavesItself(path)
    source = file_of(video)
    assert isinstance(source, BytesIO)
    assert source.getvalue() == path.read_bytes()
    sent = encode_clip(video, limits.CLIP, directory=tmp_path, on_limit="error")
    assert sent.path.read_bytes() == path.read_bytes()


def test_file_of_a_video_that_leaves_its_file_open_deletes_it_when_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows deletes no file that is open."""
    closed = threading.Event()
    remove = shutil.rmtree

    def refuse_while_open(folder: Any, *arguments: Any, **options: Any) -> None:
        if closed.is_set():
            remove(folder, *arguments, **options)

    path = write_clip(tmp_path / "clip.mp4")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(shutil, "rmtree", refuse_while_open)
    assert file_of(SavesItself(path)).getvalue() == path.read_bytes()
    [left] = (tmp_path / "temporary").iterdir()
    closed.set()
    for thread in threading.enumerate():
        if thread.name == "wan27-remove":
            thread.join(30)
    assert not left.exists()


@pytest.mark.parametrize(
    ("video", "words"),
    [
        (None, ["video is None", "delivered no video"]),
        ("clip.mp4", ["video is a str", "not a VIDEO"]),
        ({"samples": 1}, ["video is a dict", "not a VIDEO"]),
        (SimpleNamespace(get_dimensions=lambda: (1, 1)), ["not a VIDEO"]),
        (SimpleNamespace(save_to=lambda path: None), ["did not save itself"]),
    ],
    ids=["None", "text", "dict", "no method", "saves nothing"],
)
def test_file_of_refuses_what_is_not_a_video(video: Any, words: list[str]) -> None:
    with pytest.raises(MediaError) as refusal:
        file_of(video)
    assert all(word in str(refusal.value) for word in words), refusal.value


FRAMES = torch.full((3, 8, 8, 3), 0.5)


@pytest.mark.parametrize(
    ("images", "rate", "words"),
    [
        (None, 10, "no frames of the shape"),
        ([FRAMES], 10, "no frames of the shape"),
        (FRAMES.numpy(), 10, "no frames of the shape"),
        (FRAMES[0], 10, "no frames of the shape"),
        (FRAMES[:0], 10, "holds no frames"),
        (FRAMES[:, :0], 10, "holds no frames"),
        (FRAMES.to_sparse(), 10, "cannot be read"),
        (FRAMES.to("meta"), 10, "cannot be read"),
        (FRAMES.to(torch.complex64), 10, "cannot be read"),
        (FRAMES, None, "frame rate is None"),
        (FRAMES, "fast", "frame rate is 'fast'"),
        (FRAMES, math.nan, "frame rate is nan"),
        (FRAMES, math.inf, "frame rate is inf"),
        (FRAMES, 0, "frame rate is 0"),
        (FRAMES, -1, "frame rate is -1"),
    ],
    ids=[
        *("None", "list", "numpy", "one image", "empty", "no rows", "sparse", "meta", "complex"),
        *("rate None", "rate text", "rate NaN", "rate infinite", "rate 0", "rate -1"),
    ],
)
def test_tensors_of_refuses_what_is_not_frames(images: Any, rate: Any, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        tensors_of(VideoFromComponents(images, rate))


@pytest.mark.parametrize(
    "rate", [np.float32(10), np.int64(10), torch.tensor(10.0), 10], ids=["float32", "int64", "tensor", "int"]
)
def test_tensors_of_takes_numbers_of_any_kind(rate: Any) -> None:
    assert tensors_of(VideoFromComponents(FRAMES, rate)).rate == 10


def test_encode_clip_of_images_that_are_shown_for_hours_is_inside_the_limits(tmp_path: Path) -> None:
    images = torch.stack([torch.full((240, 240, 3), value) for value in (0.0, 0.5)])
    file = encode_clip(VideoFromComponents(images, 0.0001), limits.CLIP, directory=tmp_path)
    assert reread(file.path).seconds == pytest.approx(10, abs=0.01)
