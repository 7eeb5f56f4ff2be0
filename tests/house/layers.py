"""Which package may import which."""

from __future__ import annotations

BELOW = {
    "core": set[str](),
    "api": {"core"},
    "config": {"core"},
    "media": {"core"},
    "sandbox": {"core"},
    "ledger": {"core", "config"},
    "storage": {"core", "api", "config", "ledger", "media"},
    "runner": {"core", "api", "config", "ledger", "media", "storage"},
    "comfy": {"core", "api", "config", "ledger", "media", "runner", "storage"},
    "services": {"core", "api", "config", "ledger", "media", "runner", "sandbox", "storage", "comfy"},
    "check": {"core", "api", "config", "ledger", "media", "runner", "sandbox", "storage", "comfy", "services"},
    "panel": {"core", "api", "config", "ledger", "media", "runner", "storage", "comfy", "services", "check"},
    "nodes": {"core", "api", "config", "ledger", "media", "runner", "storage", "comfy", "services", "panel"},
}
"""What each package may import of the pack, besides itself. "nodes" is the node modules and the extension."""
OWN_LAYER = ("services", "check")
"""Modules at the top of nodes/ that are not node modules but layers of their own."""
MAY_KNOW_COMFYUI = {"nodes", "services", "check", "comfy", "panel"}
COMFYUI = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "server", "execution", "nodes"}
"""The modules of ComfyUI."""
