from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.media_files import Clip, write

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="this system has no such policies")


@pytest.mark.parametrize("codec", ["libsvtav1", "libx265", "libvpx-vp9"])
def test_write_leaves_the_priority_of_the_tests_alone(codec: str, tmp_path: Path) -> None:
    write(tmp_path / "clip.mkv", Clip(codec=codec, frames=2))
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
