"""Whatever goes in: the file is inside the limits, or there is a clear error and no file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from nodes.core import limits
from nodes.media.audio.encode import encode_audio
from nodes.media.clip.encode import encode_clip
from nodes.media.files import MediaError
from nodes.media.image.encode import encode_image
from nodes.media.image.pixels import fitted_size
from nodes.sandbox.inspect import inspect_media
from tests.media.comfyui_inputs import FileVideo, VideoFromComponents

FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
calm = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
few = settings(calm, max_examples=25)

sides = st.one_of(st.integers(1, 700), st.sampled_from([1, 239, 240, 241, 479, 480, 1919, 1920, 1921]))


@st.composite
def images(draw: st.DrawFn) -> torch.Tensor:
    height, width, channels = draw(sides), draw(sides), draw(st.sampled_from([1, 3, 4]))
    dtype = draw(st.sampled_from(FLOATS))
    seed = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    image = torch.rand(height, width, channels, generator=seed)
    image = image * draw(st.floats(-3, 3)) + draw(st.floats(-2, 2))
    return draw(st.sampled_from([image, image.transpose(0, 1), image.flip(1), image[::2]])).to(dtype)


@calm
@given(
    image=images(),
    format=st.sampled_from(["auto", "png", "jpeg", "webp"]),
    on_limit=st.sampled_from(["fit", "error"]),
    max_bytes=st.sampled_from([20_000_000, 300_000, 60_000]),
)
def test_encode_image_stays_inside_the_limits(image: torch.Tensor, format: Any, on_limit: Any, max_bytes: int) -> None:
    bounds = replace(limits.IMAGE, max_bytes=max_bytes)
    with TemporaryDirectory() as folder:
        try:
            file = encode_image(image, bounds, directory=Path(folder), format=format, on_limit=on_limit)
        except MediaError as error:
            assert any(character.isdigit() for character in str(error))
            assert list(Path(folder).iterdir()) == []
            return
        assert file.size == file.path.stat().st_size <= max_bytes
        facts = inspect_media(file.path, "image_url")
        same_size = (facts.height, facts.width) == tuple(image.shape[:2])
        assert file.notes or same_size
        if file.extension == "png" and same_size and image.shape[2] != 4:
            with Image.open(file.path) as opened:
                steps = np.clip(image.double().numpy(), 0, 1) * 255
                assert np.abs(np.asarray(opened) - steps).max() <= 0.5 + 1e-4


@calm
@given(
    width=st.integers(1, 20_000),
    height=st.integers(1, 20_000),
    even=st.booleans(),
    most=st.sampled_from([4096, 8000]),
)
def test_fitted_size_is_inside_the_limits(width: int, height: int, even: bool, most: int) -> None:
    if max(width, height) > 8 * min(width, height):
        return
    size = fitted_size(width, height, replace(limits.IMAGE, max_side=most), even=even)
    assert 240 <= min(size) <= max(size) <= most
    assert max(size) <= 8 * min(size)
    assert not even or size[0] % 2 == size[1] % 2 == 0
    step = 2 if even else 1
    assert abs(size[0] / size[1] / (width / height) - 1) <= step / min(size) + 1e-9


@st.composite
def audio_inputs(draw: st.DrawFn) -> dict[str, Any]:
    rate = draw(st.sampled_from([3_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 60_000]))
    seconds = draw(st.one_of(st.floats(1.9, 2.1), st.floats(29.9, 30.1), st.floats(0, 33)))
    channels = draw(st.integers(1, 8))
    seed = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    waveform = torch.rand(1, channels, round(seconds * rate), generator=seed) * 2 - 1
    return {"waveform": (waveform * draw(st.floats(0, 4))).to(draw(st.sampled_from(FLOATS))), "sample_rate": rate}


@few
@given(
    audio=audio_inputs(),
    format=st.sampled_from(["auto", "wav", "mp3"]),
    on_limit=st.sampled_from(["fit", "error"]),
    max_bytes=st.sampled_from([15_000_000, 1_000_000]),
)
def test_encode_audio_stays_inside_the_limits(
    audio: dict[str, Any], format: Any, on_limit: Any, max_bytes: int
) -> None:
    bounds = replace(limits.AUDIO, max_bytes=max_bytes)
    with TemporaryDirectory() as folder:
        try:
            file = encode_audio(audio, bounds, directory=Path(folder), format=format, on_limit=on_limit)
        except MediaError as error:
            assert any(character.isdigit() for character in str(error))
            assert list(Path(folder).iterdir()) == []
            return
        assert file.size <= max_bytes
        facts = inspect_media(file.path, "driving_audio_url")
        assert facts.seconds is not None
        assert 2 <= facts.seconds <= 30
        assert abs(facts.seconds - (file.seconds or 0)) < 0.005
        seconds = audio["waveform"].shape[2] / audio["sample_rate"]
        assert abs(seconds - facts.seconds) < 0.001 or file.notes


@few
@given(
    width=st.integers(60, 400),
    height=st.integers(60, 400),
    frames=st.integers(1, 40),
    fps=st.sampled_from([1, 2, 2.5, 3.999, 8]),
    channels=st.sampled_from([1, 3, 4]),
    audio=st.one_of(st.none(), audio_inputs()),
    on_limit=st.sampled_from(["fit", "error"]),
)
def test_encode_clip_stays_inside_the_limits(
    width: int, height: int, frames: int, fps: float, channels: int, audio: Any, on_limit: Any
) -> None:
    video = VideoFromComponents(torch.rand(1, 1, 1, channels).expand(frames, height, width, channels), fps, audio)
    with TemporaryDirectory() as folder:
        try:
            file = encode_clip(video, limits.CLIP, directory=Path(folder), on_limit=on_limit)
        except MediaError as error:
            assert any(character.isdigit() for character in str(error))
            assert list(Path(folder).iterdir()) == []
            return
        facts = inspect_media(file.path, "first_clip_url")
        assert facts.seconds is not None
        assert abs(facts.seconds - (file.seconds or 0)) < 0.002
        # The encoder sends its own result as it is.
        again = encode_clip(FileVideo(str(file.path)), limits.CLIP, directory=Path(folder), on_limit="error")
        assert again.path == file.path
