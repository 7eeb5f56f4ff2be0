from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from nodes.media.files import MediaCancelled, describe, new_path, removed_on_error
from tests.systems import refuse_deletions


@pytest.mark.parametrize(
    ("extension", "kind", "mime"),
    [
        ("png", "image", "image/png"),
        ("jpg", "image", "image/jpeg"),
        ("webp", "image", "image/webp"),
        ("wav", "audio", "audio/wav"),
        ("mp3", "audio", "audio/mpeg"),
        ("mp4", "video", "video/mp4"),
        ("mov", "video", "video/quicktime"),
    ],
)
def test_describe_takes_kind_and_mime_type_from_the_extension(
    extension: str, kind: str, mime: str, tmp_path: Path
) -> None:
    path = new_path(tmp_path, extension)
    path.write_bytes(b"content" * 1_000_000)

    file = describe(path)

    assert (file.kind, file.mime, file.extension) == (kind, mime, extension)
    assert file.size == 7_000_000
    assert file.sha256 == hashlib.sha256(b"content" * 1_000_000).hexdigest()


def test_new_path_never_repeats_a_name(tmp_path: Path) -> None:
    assert len({new_path(tmp_path, "png") for _ in range(100)}) == 100


def test_new_path_does_not_recreate_a_deleted_folder(tmp_path: Path) -> None:
    with pytest.raises(MediaCancelled):
        new_path(tmp_path / "gone", "png")
    assert not (tmp_path / "gone").exists()


def test_removed_on_error_deletes_the_file_and_keeps_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "part.wav"
    with removed_on_error(path):
        path.touch()
    assert path.exists()
    with pytest.raises(MediaCancelled), removed_on_error(path):
        raise MediaCancelled
    assert not path.exists()
    path.touch()
    refuse_deletions(monkeypatch)
    with pytest.raises(MediaCancelled), removed_on_error(path):
        raise MediaCancelled
