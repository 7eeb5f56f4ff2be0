"""The example workflow, and the files that it names.

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

#: Every ComfyUI has a picture of this name; under test it is ours, with more detail to get wrong.
PICTURE = "example.png"
SOUND = "wan27_example.wav"
SOUND_SECONDS = 5.0


def prompt() -> Prompt:
    loaded: Prompt = json.loads(API_TWIN.read_text())
    return loaded


def node_of(class_type: str, **inputs: Any) -> str:
    """The id of the one node of a type, and with these inputs where there are several of the type."""
    (found,) = [
        node
        for node, entry in prompt().items()
        if entry["class_type"] == class_type and inputs.items() <= _plain(entry["inputs"]).items()
    ]
    return found


def _plain(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in inputs.items()}


def source_picture() -> Image.Image:
    return photo(1280, 960)


def upload_inputs(comfy: ComfyUI) -> None:
    comfy.upload(PICTURE, png(source_picture()))
    comfy.upload(SOUND, wav(melody(SOUND_SECONDS)))
