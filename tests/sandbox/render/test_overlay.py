from __future__ import annotations

import numpy as np
import pytest

from nodes.sandbox.render.frame import Frame
from nodes.sandbox.render.overlay import Overlay, Stamp


def grey(width: int, height: int) -> Frame:
    return Frame(np.full((height * 3 // 2, width), 100, np.uint8))


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (2704, 336), (336, 2704), (320, 240)])
@pytest.mark.parametrize("prompt", ["", "a cat", "猫が走る", "x" * 5000, "line\nbreak\t\0"])
def test_overlay_fits_every_size(width: int, height: int, prompt: str) -> None:
    overlay = Overlay(width, height, fps=30, frames=450, prompt=prompt, watermark=True)
    for index in (1, 200, 449):
        frame = grey(width, height)
        overlay.draw(frame, index, 1.0)
        overlay.draw_mark(frame, 1.0)
        assert (frame.y > 230).mean() > 0.001
        changed = np.abs(frame.y.astype(int) - 100) > 20
        assert not changed[:, -2:].all()
        assert changed[height // 2 :].any()


def test_overlay_draws_nothing_at_opacity_zero() -> None:
    overlay = Overlay(320, 240, fps=30, frames=60, prompt="a", watermark=True)
    frame = grey(320, 240)
    overlay.draw(frame, 10, 0.0)
    overlay.draw_mark(frame, 0.0)
    assert (frame.data == 100).all()


@pytest.mark.parametrize(("x", "y"), [(-50, -50), (300, 10), (10, 230), (319, 239), (5000, 5000)])
def test_stamp_beyond_the_edge_is_cut_off(x: int, y: int) -> None:
    frame = grey(320, 240)
    Stamp("SANDBOX", 40).draw(frame, x, y, 1.0)
    assert frame.data.shape == (360, 320)


def test_stamp_is_white_on_black_without_colour() -> None:
    frame = grey(320, 240)
    Stamp("SANDBOX", 60).draw(frame, 20, 50, 1.0)
    assert frame.y.max() == 235
    assert frame.y.min() <= 17
    assert set(np.unique(frame.u)) <= set(range(100, 130))
    assert (frame.u == 128).any()
