"""ComfyUI nodes for the hosted Wan 2.7 image-to-video service."""

from __future__ import annotations

from typing import Any

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> Any:
    """Return the extension for ComfyUI; nothing is imported before this call."""
    from .nodes.extension import Wan27Extension

    return Wan27Extension()


__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
