"""What ComfyUI loads: the list of nodes, and what starts with it."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .decode_video import Wan27DecodeVideo
from .image_to_video import Wan27ImageToVideo
from .panel.routes import register_routes
from .services import get_process
from .upload import Wan27UploadAudio, Wan27UploadImage, Wan27UploadVideo
from .wait_for_video import Wan27WaitForVideo


class Wan27Extension(ComfyExtension):
    """The pack."""

    async def on_load(self) -> None:
        """Start. Only newer cores call this."""
        _start_once()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return the six nodes, in the order in which data passes through them."""
        _start_once()
        return [
            Wan27UploadImage,
            Wan27UploadAudio,
            Wan27UploadVideo,
            Wan27ImageToVideo,
            Wan27WaitForVideo,
            Wan27DecodeVideo,
        ]


def _start_once() -> None:
    """Add the routes, register the budget check of queued prompts, and resume tasks of an earlier process."""
    process = get_process()
    if not process.started:
        process.started = True
        register_routes(process)
        process.queued_prompt.register()
        process.resume_unfinished()
