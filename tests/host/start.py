"""make start: a ComfyUI with the pack to try out by hand, on a base directory that is kept."""

from __future__ import annotations

import os
import shutil
import sys

from nodes.core.hosts import HOSTS

from .cache import cache_root
from .comfy import PACK, ComfyUI, ComfyUIError, comfyui_tree


def main() -> int:
    """Run until Ctrl-C. The pack's own environment variables (a key, a connection) are passed on."""
    base = cache_root() / "start"
    port = int(os.environ.get("PORT", "8188"))
    keys = {host.key_variable for host in HOSTS.values()}
    passed_on = {name: value for name, value in os.environ.items() if name in keys or name.startswith("WAN27_")}
    link = base / "custom_nodes" / PACK
    if link.is_symlink():
        link.unlink()  # the last start may have been in another checkout
    comfy = ComfyUI(base, env=passed_on, port=port, on_screen=True)
    print(f"Starting ComfyUI; its files are kept in {base}", flush=True)
    example = comfyui_tree() / "input" / "example.png"  # the example workflows name it, and the folder is a new one
    if example.exists() and not (base / "input" / example.name).exists():
        shutil.copy(example, base / "input")
    try:
        comfy.start()
        print(f"\n  {comfy.url}    Ctrl-C stops it\n", flush=True)
        assert comfy.process
        return comfy.process.wait()
    except ComfyUIError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        comfy.stop()


if __name__ == "__main__":
    sys.exit(main())
