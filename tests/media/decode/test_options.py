from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nodes.media.decode.options import DecodeOptions
from nodes.media.files import MediaError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start_time", None),
        ("start_time", math.nan),
        ("duration", "1"),
        ("duration", math.inf),
        ("every_nth", None),
        ("every_nth", 1.5),
        ("every_nth", 0),
        ("max_frames", [1]),
        ("max_side", -1),
    ],
)
def test_check_names_the_value(name: str, value: Any) -> None:
    with pytest.raises(MediaError) as refusal:
        DecodeOptions(**{name: value}).check()
    assert f"{name} is {value!r}" in str(refusal.value)


def test_check_takes_the_numbers_of_math_nodes() -> None:
    options = DecodeOptions(start_time=np.float32(0.5), max_frames=np.int64(3))
    options.check()
    assert (options.start_time, options.max_frames) == (0.5, 3)
    assert type(options.start_time) is float
