"""What ComfyUI loads: the list of nodes, and what starts with it."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .comfy.queue_budget import register as register_queue_check
from .decode_video import Wan27DecodeVideo
from .image_to_video import Wan27ImageToVideo
from .panel.routes import register_routes
from .services import resume_unfinished
from .upload import Wan27UploadAudio, Wan27UploadImage, Wan27UploadVideo
from .wait_for_video import Wan27WaitForVideo

_started = False


def _start_once() -> None:
    """Open the routes, watch what is queued, for the budget, and go on with what an earlier process paid for."""
    global _started  # noqa: PLW0603 - a process loads the pack once
    if not _started:
        _started = True
        register_routes()
        register_queue_check()
        resume_unfinished()


class Wan27Extension(ComfyExtension):
    """The pack."""

    async def on_load(self) -> None:
        """Called by newer cores only."""
        _start_once()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The six nodes, in the order of the way the data goes."""
        _start_once()
        return [
            Wan27UploadImage,
            Wan27UploadAudio,
            Wan27UploadVideo,
            Wan27ImageToVideo,
            Wan27WaitForVideo,
            Wan27DecodeVideo,
        ]
