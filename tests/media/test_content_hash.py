"""Hashes that users' ledgers hold. They never change, or submitted requests are not found again."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
import torch

from nodes.core import limits
from nodes.media.audio.encode import encode_audio
from nodes.media.clip.encode import encode_clip
from nodes.media.content_hash import content_of_file
from nodes.media.files import MediaCancelled
from nodes.media.image.encode import encode_image
from tests.media.comfyui_inputs import VideoFromComponents

IMAGE = "212157da333209ac37c8a58104f451afb7c92ebfc8788721c023f721fe3bc702"
TRANSPARENT = "f499187613aa94f277c9a1e747959d691fb7ad93d8dd740b685e3c840e4bb610"
AUDIO = "2e6a3adb240dd91794236a4fa1ac8a9e9dcbc10cdc352a415468a7c7ac0ad803"
FRAMES = "1525522e1fa59f604dd4caf77d0dc05809bc3823c57c95b9382cb1d451022bed"
WHOLE = "e899537b4c9149cd5edb2000ea1e14f1d8eb76be0ceec7868ad01c7e389eb5b9"
PART = "c10ab9da6455773beafa9d5de03c8e4b931c9247b5377bea68087d97712539fa"


def steps(*shape: int) -> torch.Tensor:
    """Return numbers from 0 to 1 without a random generator."""
    count = torch.Size(shape).numel()
    return ((torch.arange(count) * 7919) % 1009).reshape(shape).float() / 1009


def audio(*shape: int) -> dict[str, object]:
    return {"waveform": steps(*shape) * 2.5 - 1.25, "sample_rate": 4_000}


@pytest.mark.parametrize(
    ("options", "channels", "expected"),
    [
        ({}, 3, IMAGE),
        ({"format": "webp"}, 4, TRANSPARENT),
    ],
)
def test_encode_image_content_hash_never_changes(
    options: dict[str, str], channels: int, expected: str, tmp_path: Path
) -> None:
    image = steps(200, 250, channels)
    assert encode_image(image, limits.IMAGE, directory=tmp_path, **options).content == expected  # type: ignore[arg-type]


def test_encode_audio_content_hash_never_changes(tmp_path: Path) -> None:
    assert encode_audio(audio(1, 6, 9_000), limits.AUDIO, directory=tmp_path).content == AUDIO


def test_encode_clip_content_hash_of_tensors_never_changes(tmp_path: Path) -> None:
    video = VideoFromComponents(steps(25, 240, 250, 3), 12.5, audio(1, 2, 9_000))
    assert encode_clip(video, limits.CLIP, directory=tmp_path).content == FRAMES


def test_content_of_file_never_changes(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a clip")
    for source in (tmp_path / "a.mp4", BytesIO(b"a clip")):
        assert content_of_file(source, (0.0, 0.0)) == WHOLE
        assert content_of_file(source, (0.5, 2.0)) == PART
        with pytest.raises(MediaCancelled):
            content_of_file(source, (0.5, 2.0), lambda: True)
