"""An offline stand-in for the remote service: `Sandbox(state_dir).start()`, or `python -m nodes.sandbox`."""

from __future__ import annotations

from .options import SandboxOptions
from .server import Sandbox

__all__ = ["Sandbox", "SandboxOptions"]
