"""What ComfyUI loads: the list of nodes, and what starts with it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from urllib.parse import quote

from comfy_api.latest import ComfyExtension, io

from .comfy.prompt_graph import node_classes
from .comfy.runtime import prompt_server
from .decode_video import Wan27DecodeVideo
from .image_to_video import Wan27ImageToVideo
from .join_videos import Wan27JoinVideos
from .panel.routes import register_routes
from .services import get_process
from .upload import Wan27UploadAudio, Wan27UploadImage, Wan27UploadVideo
from .wait_for_video import Wan27WaitForVideo

log = logging.getLogger(__name__)

_PLAIN_NAME = "wan27-video"


class Wan27Extension(ComfyExtension):
    """The pack. If another copy of it is loaded already, this one says so and does nothing."""

    async def on_load(self) -> None:
        """Start. Only newer cores call this."""
        if _other_copy() is None:
            _start_once()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return the nodes, in the order in which data passes through them."""
        if other := _other_copy():
            _step_back(other)
            return []
        _start_once()
        return [
            Wan27UploadImage,
            Wan27UploadAudio,
            Wan27UploadVideo,
            Wan27ImageToVideo,
            Wan27WaitForVideo,
            Wan27DecodeVideo,
            Wan27JoinVideos,
        ]


def _other_copy() -> str | None:
    """Return the folder of the copy of this pack that ComfyUI has loaded already, or None.

    Two would add the same routes, which ends ComfyUI, and fetch each other's tasks.
    """
    loaded = node_classes().get(Wan27ImageToVideo.__name__)
    if loaded is None or loaded is Wan27ImageToVideo:
        return None
    module = sys.modules.get(str(getattr(loaded, "__module__", "")))
    if module is None or not module.__name__.endswith(".nodes.image_to_video"):
        return None
    return str(Path(str(module.__file__)).parents[1])


def _step_back(other: str) -> None:
    """Report the other copy, and let ComfyUI serve its browser part instead of this one's."""
    folder = Path(__file__).absolute().parents[1]
    log.warning(
        "Wan 2.7: this pack is installed twice, in %s and in %s. The first is used. Remove one of them and restart.",
        other,
        folder,
    )
    web, served = str(Path(other) / "web"), _served()
    for name in _web_names():
        del served[name]
        if web not in served.values():  # both copies have the same name
            served[name] = web


def _use_plain_web_name() -> None:
    """Let the browser find this pack in a folder whose name has spaces, brackets or letters beyond ASCII.

    ComfyUI lists the scripts of such a folder under an address that it does not serve.
    """
    for name in _web_names():
        if quote(name) != name:
            _served()[_PLAIN_NAME] = _served().pop(name)


def _web_names() -> list[str]:
    """Return the names under which ComfyUI serves the browser part of this pack."""
    web = Path(__file__).absolute().parents[1] / "web"
    return [name for name, folder in _served().items() if Path(folder) == web]


def _served() -> dict[str, str]:
    """Return ComfyUI's own table of folders that it serves to the browser."""
    served: dict[str, str] = getattr(sys.modules.get("nodes"), "EXTENSION_WEB_DIRS", {})
    return served


def _start_once() -> None:
    """Add the routes, register the budget check of queued prompts, and resume tasks of an earlier process.

    Does nothing in a process without a server: that one only looks at the nodes.
    """
    process, server = get_process(), prompt_server()
    if server is not None and not process.started:
        process.started = True
        _use_plain_web_name()
        register_routes(process, server)
        server.add_on_prompt_handler(process.queued_prompt.on_prompt)
        process.resume_unfinished()
