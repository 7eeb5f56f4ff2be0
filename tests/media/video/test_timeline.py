from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import pytest

from nodes.media.video.timeline import PacketError, packets_of


@pytest.mark.parametrize("error", [IndexError("list index out of range"), ValueError("no"), av.EOFError(1, "cut off")])
def test_packets_of_a_damaged_file_end_whatever_pyav_raises(error: Exception) -> None:
    class Damaged:
        """A transport stream can name a stream in its midst that PyAV has no place for."""

        def demux(self, _streams: Any) -> Iterator[str]:
            yield "one"
            raise error

    packets = packets_of(Damaged(), [])  # type: ignore[arg-type]

    assert next(packets) == "one"
    with pytest.raises(PacketError):
        next(packets)
