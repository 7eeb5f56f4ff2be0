from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from nodes.core.mp4_boxes import mp4_problem, walk_boxes


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
def test_mp4_problem_names_what_is_missing_or_damaged(tmp_path: Path, content: bytes, problem: str | None) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    found = mp4_problem(path)
    assert found is None if problem is None else problem in (found or "")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (FTYP + MOOV, [(b"ftyp", 0, 8, 16), (b"moov", 16, 24, 44)]),
        (b"\0\0\0\1mdat" + (20).to_bytes(8, "big") + b"1234", [(b"mdat", 0, 16, 20)]),
        (b"\0\0\0\0mdatto the end", [(b"mdat", 0, 8, 18)]),
        (FTYP + b"\0\0\1\0mdat", [(b"ftyp", 0, 8, 16), (b"mdat", 16, 24, 272)]),
        (FTYP + b"\0\0\0\4mdat", [(b"ftyp", 0, 8, 16)]),
        (FTYP + b"\0\0\0\1mdat" + bytes(7), [(b"ftyp", 0, 8, 16)]),
        (FTYP + b"\0\0\0", [(b"ftyp", 0, 8, 16)]),
    ],
    ids=["two", "64-bit length", "to the end", "cut off", "too short", "cut header", "stray bytes"],
)
def test_walk_boxes_yields_headers_and_contents(content: bytes, expected: list[tuple[bytes, int, int, int]]) -> None:
    assert list(walk_boxes(BytesIO(content), 0, len(content))) == expected
