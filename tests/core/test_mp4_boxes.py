from __future__ import annotations

from pathlib import Path

import pytest

from nodes.core.mp4_boxes import mp4_problem


def box(kind: bytes, body: bytes = b"") -> bytes:
    return (len(body) + 8).to_bytes(4, "big") + kind + body


FTYP, MOOV = box(b"ftyp", b"isom\0\0\2\0"), box(b"moov", b"\0" * 20)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (FTYP + MOOV + box(b"mdat", b"x" * 99), None),
        (FTYP + box(b"mdat", b"x" * 99) + MOOV, None),
        (FTYP + MOOV + b"\0\0\0\1mdat" + (16 + 5).to_bytes(8, "big") + b"12345", None),
        (FTYP + MOOV + b"\0\0\0\0mdatto the end", None),
        (b"", "empty"),
        (b"<html>expired</html>", "does not begin like an mp4"),
        (FTYP, "moov"),
        (FTYP + box(b"mdat", b"x"), "moov"),
        ((FTYP + MOOV + box(b"mdat", b"x" * 99))[:-1], "cut off"),
        (FTYP + MOOV + b"\0\0\0", "damaged"),
        (FTYP + MOOV + b"\0\0\0\4mdat", "damaged"),
        (FTYP + MOOV + b"\0\0\0\1mdat" + (2**62).to_bytes(8, "big"), "cut off"),
    ],
)
def test_whole_mp4_or_not(tmp_path: Path, content: bytes, problem: str | None) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    found = mp4_problem(path)
    assert found is None if problem is None else problem in (found or "")
