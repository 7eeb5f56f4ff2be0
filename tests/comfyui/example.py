"""The example workflow and the files that it names.

first_frame_with_audio.api.json is what the frontend makes of the example when it queues it; a browser test proves it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from tests.host.comfy import REPO, ComfyUI, Prompt
from tests.media_files import melody, photo, png, wav

WORKFLOW = REPO / "example_workflows" / "first_frame_with_audio.json"
API_TWIN = Path(__file__).with_name("first_frame_with_audio.api.json")

IMAGE = "example.png"
"""Every ComfyUI has an image of this name; in the tests it is `photo`, which has more detail to get wrong."""
AUDIO = "wan27_example.wav"
AUDIO_SECONDS = 5.0


def prompt() -> Prompt:
    loaded: Prompt = json.loads(API_TWIN.read_text())
    return loaded


def node_of(class_type: str, **inputs: Any) -> str:
    """Return the id of the only node of a type, or of the only one that has these inputs."""
    (found,) = [
        node
        for node, entry in prompt().items()
        if entry["class_type"] == class_type and inputs.items() <= _plain(entry["inputs"]).items()
    ]
    return found


def _plain(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in inputs.items()}


def source_image() -> Image.Image:
    return photo(1280, 960)


def upload_inputs(comfy: ComfyUI) -> None:
    comfy.upload(IMAGE, png(source_image()))
    comfy.upload(AUDIO, wav(melody(AUDIO_SECONDS)))
