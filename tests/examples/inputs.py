"""The input files that the examples name, and others to use instead."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import ImageEnhance

from tests.comfyui import example
from tests.host.comfy import ComfyUI
from tests.media_files import photo, photo_clip, png

from . import workflows

CLIP_SECONDS = 2
OTHERS = (("wan27_second.png", 7, 0.5), ("wan27_third.png", 13, 1.0))
"""Name, seed and brightness."""


def put_inputs(comfy: ComfyUI) -> None:
    """Put them into the input folder, and an empty checkpoint into the models folder."""
    example.upload_inputs(comfy)
    for name, seed, light in OTHERS:
        comfy.upload(name, png(ImageEnhance.Brightness(photo(960, 720, seed=seed)).enhance(light)))
    with tempfile.TemporaryDirectory() as folder:
        made = photo_clip(Path(folder) / workflows.CLIP, width=640, height=480, seconds=CLIP_SECONDS)
        comfy.upload(workflows.CLIP, made.read_bytes())
    model = comfy.base / "models" / "checkpoints" / workflows.CHECKPOINT
    model.parent.mkdir(parents=True, exist_ok=True)
    model.write_bytes(b"")
