from __future__ import annotations

import pytest

from nodes.media.video import threads
from nodes.media.video.threads import thread_count, threads_for


@pytest.mark.parametrize(
    ("cores", "pixels", "expected"),
    [
        (1, 1280 * 720, 3),
        (2, 1920 * 1080, 4),
        (64, 1280 * 720, 8),
        (64, 1920 * 1080, 4),
        (64, 3840 * 2160, 1),
        (64, 16384 * 8192, 1),
        (4, 0, 6),
    ],
)
def test_thread_count_is_limited_by_memory(
    monkeypatch: pytest.MonkeyPatch, cores: int, pixels: int, expected: int
) -> None:
    monkeypatch.setattr(threads, "cores", lambda: cores)
    assert thread_count(pixels) == expected


@pytest.mark.parametrize(
    ("pixels", "expected"), [(1920 * 1080, ("AUTO", 4)), (2560 * 1440, ("AUTO", 2)), (3840 * 2160, ("SLICE", 8))]
)
def test_threads_for_large_frames_share_a_frame(
    monkeypatch: pytest.MonkeyPatch, pixels: int, expected: tuple[str, int]
) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 64)
    assert threads_for(pixels) == expected
