from __future__ import annotations

import threading

import av
import numpy as np
import pytest

from nodes.media.decode import frames as frames_module
from nodes.media.decode.frames import FrameStore, limited_size
from nodes.media.decode.memory import MemoryRefusedError
from nodes.media.video.images import Converter
from nodes.media.video.rgb import StreamColors
from tests.media_files import Clip, moving_gradient

CLIP = Clip(size=(34, 26))


def frame(index: int) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(moving_gradient(CLIP, index), format="rgb24")


def store(capacity: int, asked: list[int] | None = None) -> FrameStore:
    return FrameStore(converters(), capacity, "a.mp4", (asked if asked is not None else []).append)


def converters() -> tuple[Converter, Converter]:
    return Converter(frame(0), CLIP.size, StreamColors()), Converter(frame(0), CLIP.size, StreamColors())


@pytest.mark.parametrize("capacity", [1, 3, 40, 100])
def test_frame_store_holds_every_frame_however_few_were_expected(capacity: int) -> None:
    asked: list[int] = []
    frames = store(capacity, asked)
    for index in range(40):
        frames.add(frame(index))

    found = frames.finish()

    expected = np.stack([moving_gradient(CLIP, index) for index in range(40)]) / np.float32(255)
    assert np.array_equal(found, expected)
    assert bool(asked) == (capacity < 40), "memory is asked for before the array grows"


def test_frame_store_converts_large_frames_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_module, "is_large", lambda _pixels: True)
    before = threading.active_count()
    frames = store(1)
    for index in range(3):
        frames.add(frame(index))
        assert threading.active_count() == before

    expected = np.stack([moving_gradient(CLIP, index) for index in range(3)]) / np.float32(255)
    assert np.array_equal(frames.finish(), expected)


def test_frame_store_growth_may_be_refused() -> None:
    def refuse(_count: int) -> None:
        raise MemoryError

    frames = FrameStore(converters(), 1, "a.mp4", refuse)
    frames.add(frame(0))
    with pytest.raises(MemoryError):
        frames.add(frame(1))
    frames.close()


def test_frame_store_growth_without_memory_names_the_inputs_that_help(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = store(1)
    frames.add(frame(0))

    def empty(*_: object) -> None:
        raise MemoryError("Unable to allocate")

    monkeypatch.setattr("nodes.media.decode.frames.np.empty", empty)
    with pytest.raises(
        MemoryRefusedError,
        match=r"a\.mp4: .* memory for 17 frames of 34×26\. Set max_frames .* max_side",
    ):
        frames.add(frame(1))
    frames.close()


def test_frame_store_raises_what_fails_in_its_thread_and_ends_it() -> None:
    frames = store(50)
    before = threading.active_count()
    with pytest.raises(Exception):  # noqa: B017 - whatever the scaler says of it
        for _ in range(50):
            frames.add("no frame")  # type: ignore[arg-type]
    frames.close()
    frames.close()
    assert threading.active_count() < before


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((1920, 1080), 0, (1920, 1080)),
        ((1920, 1080), 640, (640, 360)),
        ((1080, 1920), 640, (360, 640)),
        ((640, 360), 1000, (640, 360)),
        ((8000, 2), 100, (100, 1)),
    ],
)
def test_limited_size(size: tuple[int, int], side: int, expected: tuple[int, int]) -> None:
    assert limited_size(*size, side) == expected
