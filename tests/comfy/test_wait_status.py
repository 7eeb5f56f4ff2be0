"""What the Wait node shows."""

from __future__ import annotations

import pytest

from nodes.comfy.wait_status import Line
from nodes.runner.models import Progress


@pytest.mark.parametrize(
    ("progress", "fraction", "words"),
    [
        (None, 0.0, ["asking"]),
        (Progress("queued", 3.2), 0.0, ["queued 3 s"]),
        (Progress("processing", 40, progress_percent=50), 0.475, ["processing 40 s", "50 %"]),
        (Progress("processing", 30, progress_percent=0, eta_seconds=30), 0.475, ["about 30 s to go"]),
        (Progress("downloading", 60, downloaded_bytes=5_000_000, total_bytes=10_000_000), 0.975, ["5.0 MB"]),
        (Progress("downloading", 60), 0.95, ["downloading"]),
        (Progress("waiting", 9, note="the service cannot be reached"), 0.0, ["cannot be reached"]),
    ],
)
def test_a_line_tells_state_seconds_and_what_the_service_gives(
    progress: Progress | None, fraction: float, words: list[str]
) -> None:
    line = Line("t-1", clock=lambda: 100.0)
    if progress is not None:
        line.update(progress)
    assert line.fraction == pytest.approx(fraction)
    assert line.text.startswith("t-1: ")
    assert [word for word in words if word not in line.text] == []


def test_a_saved_video_fills_the_bar() -> None:
    line = Line("t-1", done=True)
    assert (line.fraction, line.text) == (1.0, "t-1: saved")


def test_what_there_was_to_say_of_a_download_stays() -> None:
    line = Line("t-1", done=True)
    line.update(Progress("downloading", 60, note="a.mp4 was changed"))
    assert line.text == "t-1: saved, a.mp4 was changed"
    line.update(Progress("waiting", 61, note="the service cannot be reached"))
    assert line.text == "t-1: saved"


def test_the_seconds_go_on_between_two_polls() -> None:
    now = 100.0
    line = Line("t-1", clock=lambda: now)
    line.update(Progress("processing", 10, eta_seconds=20))
    shown = [line.text]
    now = 104.5
    shown.append(line.text)
    now = 125.0
    shown.append(line.text)
    assert shown == [
        "t-1: processing 10 s, about 20 s to go",
        "t-1: processing 14 s, about 16 s to go",
        "t-1: processing 35 s",
    ]
