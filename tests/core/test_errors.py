from __future__ import annotations

import av
import pytest

from nodes.core.errors import reason_of


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(13, "Permission denied", "/home/me/a.mp4"), "Permission denied"),
        (av.error.InvalidDataError(1, "Invalid data", "/home/me/a.mp4"), "Invalid data"),
        (OSError("odd"), "odd"),
        (TimeoutError(), "TimeoutError"),
    ],
    ids=["system", "FFmpeg", "text", "nothing"],
)
def test_reason_of_is_words_without_a_path(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason
