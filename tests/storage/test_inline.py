"""Pictures inside the request."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from nodes.core.errors import StorageError
from nodes.storage.inline import InlineStorage
from tests.media_files import media_file


@pytest.mark.parametrize(("name", "mime"), [("a.png", "image/png"), ("a.jpg", "image/jpeg"), ("a.webp", "image/webp")])
def test_a_picture_becomes_a_data_uri(name: str, mime: str, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    file = media_file(tmp_path, name)
    stored = asyncio.run(InlineStorage().put(file, on_progress=lambda done, total: told.append((done, total))))
    head, _, data = stored.url.partition(",")
    assert head == f"data:{mime};base64" and base64.b64decode(data) == file.path.read_bytes()
    assert stored.expires_at is None and told == [(file.size, file.size)]
    assert "does not document" in InlineStorage().note


@pytest.mark.parametrize("name", ["a.wav", "a.mp4"])
def test_sound_and_video_are_refused_with_the_choice(name: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        asyncio.run(InlineStorage().put(media_file(tmp_path, name)))
    said = str(caught.value)
    assert len(said.splitlines()) == 5
    for text in ('"s3"', '"http"', '"comfyui"', "README", "config.toml"):
        assert text in said
