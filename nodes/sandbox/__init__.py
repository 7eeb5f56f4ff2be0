"""The offline stand-in for the remote service.

`Sandbox(state_dir).start()` listens on loopback and returns its base URL; `python -m nodes.sandbox` does so by hand.
Importing this package is cheap: aiohttp, PyAV and Pillow are loaded when the first sandbox starts.
"""

from __future__ import annotations

from .options import SandboxOptions
from .server import Sandbox

__all__ = ["Sandbox", "SandboxOptions"]
